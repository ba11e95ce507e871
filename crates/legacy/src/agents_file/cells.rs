//! What a row says, as far as it can be told without the database.

use uuid::Uuid;

/// The columns of the file, in the order of its staging table.
pub(super) const COLUMNS: [portal_csv_file::Column; 5] = [
    column("old_agent_id", &["agent_id", "legacy_agent_id"]),
    column(
        "genesys_user_id",
        &["genesys_id", "genesys_user", "user_id"],
    ),
    column("tenant_id", &["tenant"]),
    column("name", &["agent_name", "full_name", "display_name"]),
    column("email", &["e_mail", "mail", "email_address"]),
];

const fn column(name: &'static str, aliases: &'static [&'static str]) -> portal_csv_file::Column {
    portal_csv_file::Column { name, aliases }
}

/// Characters that a name and a tenant's id may have, and those of an e-mail address: as many as the
/// columns have that they go to.
const MOST: usize = 255;
const MOST_EMAIL: usize = 320;

/// What a key looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyType {
    Uuid,
    /// A number of so many bits.
    Integer(u32),
    /// So many characters at the most.
    Text(usize),
}

impl KeyType {
    /// As PostgreSQL writes the type.
    pub(super) fn of(type_name: &str) -> Self {
        match type_name {
            "uuid" => Self::Uuid,
            "smallint" => Self::Integer(16),
            "integer" => Self::Integer(32),
            "bigint" => Self::Integer(64),
            other => {
                let most = other
                    .split_once('(')
                    .and_then(|(_, rest)| rest.trim_end_matches(')').parse().ok());
                Self::Text(most.unwrap_or(usize::MAX))
            }
        }
    }

    /// The key as PostgreSQL writes it.
    pub(super) fn read(self, text: &str) -> Result<String, String> {
        match self {
            Self::Uuid => read_uuid(text).ok_or_else(|| "this is not a UUID".to_owned()),
            Self::Integer(bits) => text
                .parse::<i64>()
                .ok()
                .filter(|number| *number >> (bits - 1) == 0 || *number >> (bits - 1) == -1)
                .map(|number| number.to_string())
                .ok_or_else(|| format!("this is not a whole number of {bits} bits")),
            Self::Text(most) => short(text, most).map(|()| text.to_owned()),
        }
    }
}

/// What is wrong with a row: with which cell, and why.
pub(super) type Wrong = (usize, String);

/// Reads a row; gives its cells as they are to be kept.
pub(super) fn read(
    cells: [&str; 5],
    agents: KeyType,
    tenants: KeyType,
) -> Result<[String; 5], Wrong> {
    for (place, cell) in cells.iter().enumerate() {
        common(cell, place == 0 && matches!(agents, KeyType::Integer(_)))
            .map_err(|why| (place, why))?;
    }
    let [agent, user, tenant, name, email] = cells;
    Ok([
        agents.read(agent).map_err(|why| (0, why))?,
        read_uuid(user)
            .ok_or_else(|| (1, "this is not the id of a Genesys user: a UUID".to_owned()))?,
        // One that does not look like a tenant's id is one that nobody has.
        tenants
            .read(tenant)
            .unwrap_or_else(|_why| tenant.to_owned()),
        short(name, MOST)
            .map(|()| name.to_owned())
            .map_err(|why| (3, why))?,
        read_email(email).map_err(|why| (4, why))?,
    ])
}

/// What no cell may be.
fn common(cell: &str, may_be_negative: bool) -> Result<(), String> {
    if cell.is_empty() {
        return Err("this is empty".to_owned());
    }
    if let Some(sign) = cell.chars().find(|sign| is_hidden(*sign)) {
        return Err(format!(
            "this has a character that is not seen (U+{:04X})",
            u32::from(sign)
        ));
    }
    if is_formula(cell) && !may_be_negative {
        return Err("this begins as a formula of a spreadsheet does".to_owned());
    }
    if is_rounded(cell) {
        return Err(
            "a spreadsheet has made a number of this: give the column the format Text and fill it in again"
                .to_owned(),
        );
    }
    Ok(())
}

/// Controls, and what turns or joins text without being seen. Some scripts need U+200C and U+200D.
fn is_hidden(sign: char) -> bool {
    sign.is_control()
        || matches!(sign, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Whether a spreadsheet might compute it (OWASP, "CSV Injection").
pub(super) fn is_formula(cell: &str) -> bool {
    let cell = cell.strip_prefix('\'').unwrap_or(cell);
    cell.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// Whether it is a number such as 1.23E+11.
fn is_rounded(cell: &str) -> bool {
    let Some((number, exponent)) = cell.split_once(['e', 'E']) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = number.split_once(['.', ',']).unwrap_or((number, "0"));
    digits(whole) && digits(part) && exponent.strip_prefix(['+', '-']).is_some_and(digits)
}

fn read_uuid(text: &str) -> Option<String> {
    Uuid::parse_str(text)
        .ok()
        .map(|id| id.hyphenated().to_string())
}

fn read_email(text: &str) -> Result<String, String> {
    let is_one = text
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if !is_one || text.chars().any(char::is_whitespace) {
        return Err("this is not an e-mail address".to_owned());
    }
    short(text, MOST_EMAIL).map(|()| text.to_owned())
}

fn short(text: &str, most: usize) -> Result<(), String> {
    if text.chars().count() > most {
        return Err(format!("this has more than {most} characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [&str; 5] = [
        "00000000-0000-4000-8000-00000000000A",
        "7f1a0001-1111-4111-8111-000000000001",
        "acme_corp",
        "Zo\u{eb} \"Zed\" \u{dc}nal",
        "a@umbrella.example",
    ];

    fn wrong(place: usize, cell: &str, key: KeyType) -> Option<Wrong> {
        let mut cells = GOOD;
        if !matches!(key, KeyType::Uuid) {
            cells[0] = "7";
        }
        cells[place] = cell;
        read(cells, key, KeyType::Text(50)).err()
    }

    #[test]
    fn a_good_row_is_kept_as_the_database_writes_it() {
        let row = read(GOOD, KeyType::Uuid, KeyType::Text(50)).unwrap();
        assert_eq!(row[0], "00000000-0000-4000-8000-00000000000a");
        assert_eq!(row[1..], GOOD[1..]);
        for (text, kept) in [("007", "7"), ("-12", "-12"), ("32767", "32767")] {
            assert_eq!(KeyType::Integer(16).read(text).as_deref(), Ok(kept));
        }
    }

    #[test]
    fn types_are_read_as_postgresql_writes_them() {
        for (name, kind) in [
            ("uuid", KeyType::Uuid),
            ("integer", KeyType::Integer(32)),
            ("bigint", KeyType::Integer(64)),
            ("character varying(50)", KeyType::Text(50)),
            ("text", KeyType::Text(usize::MAX)),
        ] {
            assert_eq!(KeyType::of(name), kind);
        }
    }

    #[test]
    fn each_broken_kind_of_cell_is_told_with_its_column() {
        let long = "x".repeat(256);
        let long_email = format!("{}@b.example", "x".repeat(320));
        for (place, cell, why) in [
            (0, "not-a-uuid", "not a UUID"),
            (0, "1.23E+11", "made a number"),
            (1, "", "empty"),
            (1, "genesys-user-1", "Genesys user"),
            (1, "1,23457E+11", "made a number"),
            (1, "7f1a0001-1111-4111-8111-00000000000\u{200b}1", "U+200B"),
            (2, "=cmd|' /C calc'!A0", "formula"),
            (3, "@SUM(1)", "formula"),
            (3, "'+1", "formula"),
            (3, "Jane\u{7}", "U+0007"),
            (3, &long, "255 characters"),
            (4, "john.example.com", "e-mail"),
            (4, "john@", "e-mail"),
            (4, "john doe@example.com", "e-mail"),
            (4, &long_email, "320 characters"),
        ] {
            let (at, told) = wrong(place, cell, KeyType::Uuid).unwrap();
            assert_eq!(at, place, "{cell:?}");
            assert!(told.contains(why), "{cell:?} {told}");
        }
        for (cell, why) in [
            ("x", "32 bits"),
            ("2147483648", "32 bits"),
            ("=1", "32 bits"),
        ] {
            let (_, told) = wrong(0, cell, KeyType::Integer(32)).unwrap();
            assert!(told.contains(why), "{cell:?} {told}");
        }
        assert_eq!(wrong(0, "-5", KeyType::Integer(32)), None);
        assert_eq!(wrong(3, "12E+", KeyType::Uuid), None, "a name");
    }
}
