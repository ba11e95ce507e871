//! Typed keys.

use std::fmt;
use std::marker::PhantomData;

use portal_types::TenantId;

/// A key that says what type of value stands under it.
///
/// The parts of an id may hold any text, also from outside: a `:` inside a part is written as
/// `%3A` (and `%` as `%25`), so two different ids never make the same key.
pub struct Key<V> {
    name: String,
    value: PhantomData<fn() -> V>,
}

impl<V> Key<V> {
    /// A key of the whole system: `g:<space>:<id parts>`.
    ///
    /// `space` names the kind of value and belongs to one piece of code.
    pub fn global(space: &'static str, id: &[&str]) -> Self {
        Self::build("g".to_owned(), space, id)
    }

    /// A key of one tenant: `t:<tenant>:<space>:<id parts>`.
    pub fn of_tenant(tenant: &TenantId, space: &'static str, id: &[&str]) -> Self {
        let mut name = "t:".to_owned();
        push_escaped(&mut name, tenant.as_str());
        Self::build(name, space, id)
    }

    fn build(mut name: String, space: &'static str, id: &[&str]) -> Self {
        for part in std::iter::once(&space).chain(id) {
            name.push(':');
            push_escaped(&mut name, part);
        }
        Self {
            name,
            value: PhantomData,
        }
    }

    /// The key without the prefix of the process.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

fn push_escaped(name: &mut String, part: &str) {
    for c in part.chars() {
        match c {
            ':' => name.push_str("%3A"),
            '%' => name.push_str("%25"),
            c => name.push(c),
        }
    }
}

impl<V> Clone for Key<V> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            value: PhantomData,
        }
    }
}

impl<V> fmt::Debug for Key<V> {
    // Ids in keys can be personal (a phone number) or secret (a login state).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_whose_they_are() {
        let tenant = TenantId::parse("acme_corp").unwrap();
        assert_eq!(Key::<()>::global("login", &["abc"]).name(), "g:login:abc");
        assert_eq!(
            Key::<()>::of_tenant(&tenant, "pair", &["1", "2"]).name(),
            "t:acme_corp:pair:1:2"
        );
    }

    #[test]
    fn parts_cannot_reach_into_their_neighbours() {
        let names = [["a:b", "c"], ["a", "b:c"], ["a%3Ab", "c"]]
            .map(|id| Key::<()>::global("s", &id).name().to_owned());
        assert_eq!(names, ["g:s:a%3Ab:c", "g:s:a:b%3Ac", "g:s:a%253Ab:c"]);
    }

    #[test]
    fn debug_does_not_show_the_id() {
        assert!(!format!("{:?}", Key::<()>::global("login", &["state-value"])).contains("state"));
    }
}
