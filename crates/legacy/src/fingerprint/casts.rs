//! Casts of array constructors, of which PostgreSQL keeps two forms that mean the same.
//!
//! `status IN ('a', 'b')` on a `varchar` column is kept as
//! `(status)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])`. When that
//! text is read again, which restoring a dump does, the parser (`transformArrayExpr` in
//! `parse_expr.c`) moves the cast to the elements, and from then on it is
//! `ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])`.

const OPEN: &str = "(ARRAY[";

/// The second form of every such cast in `text`.
pub(super) fn push_into_arrays(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        let (opening, inside) = found.split_at(OPEN.len());
        if let Some((pushed, after)) = cast_array(inside) {
            out.push_str(&pushed);
            rest = after;
        } else {
            out.push_str(opening);
            rest = inside;
        }
    }
    out.push_str(rest);
    out
}

/// `(ARRAY[e, …])::T[]`, of which `text` begins with the first element, in its second form, and what
/// comes after it.
fn cast_array(text: &str) -> Option<(String, &str)> {
    let (elements, rest) = elements(text)?;
    let rest = rest.strip_prefix(")::")?;
    let (type_name, after) = rest.split_at_checked(type_end(rest)?)?;
    let after = after.strip_prefix("[]")?;
    let cast: Vec<String> = elements
        .iter()
        .map(|element| format!("({})::{type_name}", push_into_arrays(element)))
        .collect();
    Some((format!("ARRAY[{}]", cast.join(", ")), after))
}

/// The elements before the bracket that closes the array, and what comes after it.
fn elements(text: &str) -> Option<(Vec<&str>, &str)> {
    let mut found = Vec::new();
    let (mut begin, mut depth, mut quote) = (0, 0_usize, None);
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            // A doubled quote ends and begins again.
            (Some(open), _) if open == byte => quote = None,
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'(' | b'[') => depth += 1,
            (None, b']') if depth == 0 => {
                found.push(text.get(begin..at)?.trim());
                return Some((found, text.get(at + 1..)?));
            }
            (None, b')' | b']') => depth = depth.checked_sub(1)?,
            (None, b',') if depth == 0 => {
                found.push(text.get(begin..at)?.trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    None
}

/// Where the brackets of an array type begin: `character varying(20)[]`, `public."Mood"[]`.
fn type_end(text: &str) -> Option<usize> {
    let (name, _) = text.split_once("[]")?;
    let named = name.bytes().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b' ' | b'.' | b'"' | b'(' | b')' | b',')
    });
    let balanced = name.matches('(').count() == name.matches(')').count();
    (named && balanced).then_some(name.len())
}

#[cfg(test)]
mod tests {
    use super::push_into_arrays;

    #[test]
    fn a_cast_goes_to_the_elements_wherever_it_is() {
        let cases = [
            (
                "CHECK (((s)::text = ANY ((ARRAY['a, ]'::character varying, 'it''s'::character varying])::text[])))",
                "CHECK (((s)::text = ANY (ARRAY[('a, ]'::character varying)::text, ('it''s'::character varying)::text])))",
            ),
            (
                "x = ANY ((ARRAY[f(1, 2)])::character varying(20)[]) AND y = ALL ((ARRAY[1])::public.\"M\"[])",
                "x = ANY (ARRAY[(f(1, 2))::character varying(20)]) AND y = ALL (ARRAY[(1)::public.\"M\"])",
            ),
            (
                "CHECK ((a = ANY (ARRAY[1, 2])))",
                "CHECK ((a = ANY (ARRAY[1, 2])))",
            ),
            ("(ARRAY[1, 2])[1]", "(ARRAY[1, 2])[1]"),
            ("(ARRAY['open", "(ARRAY['open"),
        ];
        for (kept, again) in cases {
            assert_eq!(push_into_arrays(kept), again);
        }
    }
}
