//! Foreign names and texts as messages show them: short, on one line, without control characters.

/// Longest text that is shown whole. A tar archive may contain a member with a name of 8 MiB.
const CHARS_MAX: usize = 200;

/// `text` as it is shown; its middle is left out if it is long.
pub(super) fn shown(text: &str) -> String {
    let count = text.chars().count();
    if count <= CHARS_MAX {
        return text.chars().flat_map(printable).collect();
    }
    let half = CHARS_MAX / 2;
    let first = text.chars().take(half).flat_map(printable);
    let last = text.chars().skip(count - half).flat_map(printable);
    first.chain(['…']).chain(last).collect()
}

fn printable(character: char) -> impl Iterator<Item = char> {
    let is_itself = matches!(character, '"' | '\'' | '\\');
    let escaped = (!is_itself).then(|| character.escape_debug());
    let plain = is_itself.then_some(character);
    escaped.into_iter().flatten().chain(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_fits_a_terminal() {
        for (text, expected) in [
            ("Mary's \"é\".json", "Mary's \"é\".json"),
            ("a\x1b[2J\n\u{202e}b", "a\\u{1b}[2J\\n\\u{202e}b"),
        ] {
            assert_eq!(shown(text), expected);
        }
        let long = format!("{}.json", "x".repeat(8 << 20));
        let text = shown(&long);
        assert_eq!(text.chars().count(), CHARS_MAX + 1);
        assert!(
            text.starts_with("xxx") && text.ends_with("xx.json"),
            "{text}"
        );
    }
}
