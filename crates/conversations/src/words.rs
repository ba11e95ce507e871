//! Words by which conversations are found.

use std::collections::BTreeSet;

use diesel::{prelude::*, sql_types};
use portal_db::{DbError, OverRows, Tx};
use portal_db_schema::schema::{conversation_threads as threads, conversation_words as words};
use portal_types::TenantId;
use uuid::Uuid;

use crate::{Identity, rows::EntryRow};

/// Longest word that is kept; what is longer is found by its beginning.
const MAX_CHARS: usize = 64;
/// Most words of a search.
const MAX_WORDS: usize = 8;

/// The words of a text, in small letters.
fn split(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(cut)
        .collect()
}

fn cut(word: &str) -> String {
    let small = word.chars().flat_map(char::to_lowercase);
    small.take(MAX_CHARS).collect()
}

/// A word and its ends of at least two characters.
fn ends(word: &str) -> impl Iterator<Item = String> + '_ {
    let count = word.chars().count();
    word.char_indices()
        .enumerate()
        .filter(move |(n, _)| *n == 0 || n + 2 <= count)
        .filter_map(|(_, (at, _))| word.get(at..).map(cut))
}

/// What is searched for: beginnings of words in texts, parts of names and of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search(Vec<String>);

impl Search {
    /// Reads what somebody typed. A number may have any usual spelling: `+49 (0)170 …`, `0049-170…`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(typed: &str) -> Result<Self, &'static str> {
        let is_number = typed
            .chars()
            .all(|c| c.is_ascii_digit() || c.is_whitespace() || "+-()./".contains(c));
        let found: Vec<String> = if is_number {
            let bare = typed.replace("(0)", "");
            let digits: String = bare.chars().filter(char::is_ascii_digit).collect();
            let number = digits.strip_prefix("00").unwrap_or(&digits);
            Some(number)
                .filter(|number| !number.is_empty())
                .map(cut)
                .into_iter()
                .collect()
        } else {
            split(typed).into_iter().collect()
        };
        match found.len() {
            0 => Err("must have a letter or a digit"),
            1..=MAX_WORDS => Ok(Self(found)),
            _ => Err("must have at most 8 words"),
        }
    }

    /// For each word, from where to before where words lie that begin with it.
    pub fn ranges(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.0
            .iter()
            .map(|word| (word.clone(), format!("{word}{}", char::MAX)))
    }
}

type Word = (String, Uuid, &'static str);

fn insert(tx: &mut Tx<'_>, all: &BTreeSet<Word>) -> Result<(), DbError> {
    if all.is_empty() {
        return Ok(());
    }
    let of = |pick: fn(&Word) -> &str| all.iter().map(|w| pick(w).to_owned()).collect::<Vec<_>>();
    OverRows::new(
        "INSERT INTO conversation_words (tenant_id, word, thread_id, part) \
         SELECT app_tenant_id(), w.word, w.thread, w.part FROM",
        " AS w (word, thread, part) ON CONFLICT DO NOTHING",
    )
    .column(of(|word| &word.0))
    .column(all.iter().map(|word| word.1).collect::<Vec<_>>())
    .column(of(|word| word.2))
    .execute(tx.conn())?;
    Ok(())
}

/// Makes new messages findable; their conversations are locked.
pub(crate) fn add_texts(tx: &mut Tx<'_>, rows: &[EntryRow]) -> Result<(), DbError> {
    let texts = rows
        .iter()
        .filter_map(|row| Some((row.thread_id?, row.text.as_deref()?)));
    insert(tx, &of_texts(texts))
}

fn of_texts<'a>(texts: impl Iterator<Item = (Uuid, &'a str)>) -> BTreeSet<Word> {
    texts
        .flat_map(|(thread, text)| split(text).into_iter().map(move |w| (w, thread, "text")))
        .collect()
}

/// Makes threads findable by the number or the user id of their identity.
pub(crate) fn add_identities(
    tx: &mut Tx<'_>,
    threads: &[(Uuid, &Identity)],
) -> Result<(), DbError> {
    let all = threads.iter().flat_map(|(thread, identity)| {
        let bare: String = identity
            .as_str()
            .chars()
            .filter(|c| c.is_alphanumeric())
            .collect();
        let ends: Vec<Word> = ends(&bare).map(|w| (w, *thread, "number")).collect();
        ends
    });
    insert(tx, &all.collect())
}

/// Makes conversations findable by the names that they show now, and by those alone.
pub(crate) fn name_anew(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    conversations: &[Uuid],
) -> Result<(), DbError> {
    use portal_db_schema::schema::conversations as c;
    if conversations.is_empty() {
        return Ok(());
    }
    let named: Vec<(Uuid, Option<String>)> = threads::table
        .inner_join(
            c::table.on(c::tenant_id
                .eq(threads::tenant_id)
                .and(c::conversation_id.eq(threads::conversation_id))),
        )
        .filter(threads::tenant_id.eq(tenant.as_str()))
        .filter(threads::conversation_id.eq_any(conversations))
        .select((threads::thread_id, c::contact_name))
        .load(tx.conn())?;
    let own: Vec<Uuid> = named.iter().map(|(thread, _)| *thread).collect();
    diesel::delete(
        words::table
            .filter(words::tenant_id.eq(tenant.as_str()))
            .filter(words::thread_id.eq_any(own))
            .filter(words::part.eq("name")),
    )
    .execute(tx.conn())?;
    let mut all = BTreeSet::new();
    for (thread, name) in &named {
        for word in split(name.as_deref().unwrap_or_default()) {
            all.extend(ends(&word).map(|w| (w, *thread, "name")));
        }
    }
    insert(tx, &all)
}

/// Makes threads findable by what their messages still say, and by that alone.
pub(crate) fn texts_anew(tx: &mut Tx<'_>, own: &[Uuid]) -> Result<(), DbError> {
    #[derive(QueryableByName)]
    struct Text {
        #[diesel(sql_type = sql_types::Uuid)]
        thread_id: Uuid,
        #[diesel(sql_type = sql_types::Text)]
        text: String,
    }
    diesel::sql_query(
        "DELETE FROM conversation_words \
         WHERE tenant_id = app_tenant_id() AND thread_id = ANY ($1) AND part = 'text'",
    )
    .bind::<sql_types::Array<sql_types::Uuid>, _>(own)
    .execute(tx.conn())?;
    let left: Vec<Text> = diesel::sql_query(
        "SELECT thread_id, text FROM conversation_messages \
         WHERE tenant_id = app_tenant_id() AND thread_id = ANY ($1) AND text IS NOT NULL",
    )
    .bind::<sql_types::Array<sql_types::Uuid>, _>(own)
    .load(tx.conn())?;
    insert(
        tx,
        &of_texts(left.iter().map(|row| (row.thread_id, &*row.text))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(typed: &str) -> Vec<String> {
        Search::parse(typed).unwrap().0
    }

    #[test]
    fn numbers_are_found_in_any_usual_spelling() {
        for typed in [
            "+49 (0)170 123-45",
            "0049 170 12345",
            "4917012345",
            "+49.170/12345",
        ] {
            assert_eq!(words(typed), ["4917012345"], "{typed}");
        }
        assert_eq!(words("order 12-7"), ["12", "7", "order"]);
        assert_eq!(words("ÄRGER, Straße!"), ["straße", "ärger"]);
        assert!(Search::parse(" + ").is_err());
        assert!(Search::parse("a b c d e f g h i").is_err());
    }

    #[test]
    fn the_middle_of_a_name_is_the_beginning_of_an_end() {
        let all: Vec<String> = ends("žofie").collect();
        assert_eq!(all, ["žofie", "ofie", "fie", "ie"]);
        assert_eq!(ends("x").collect::<Vec<_>>(), ["x"]);
    }
}
