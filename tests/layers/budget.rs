//! How much code an example may need. One that needs more shows that the library, or what the examples share, lacks
//! something.
//!
//! A line counts if it has code: it is not blank, it is no comment, and no `#[cfg(test)]` comes before it in its file.
//! Formatting is rustfmt's, so lines are comparable.

use std::{fs, path::Path};

/// Folders of `examples` that make an example together, and the most lines it may have.
const BUDGETS: &[(&[&str], usize)] = &[
    (&["music", "music-cli"], 900),
    (&["memcache"], 900),
    // What is shared is in nobody's count: it stays as small as it is, so that no example is hidden in it.
    (&["common"], SHARED),
];

/// May only shrink.
const SHARED: usize = 1584;

fn code_lines(source: &str) -> usize {
    let lines = source.lines().map(str::trim);
    let lines = lines.take_while(|line| !line.starts_with("#[cfg(test)]"));
    let has_code = |line: &&str| !line.is_empty() && !line.starts_with("//");
    lines.filter(has_code).count()
}

fn lines_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap();
    let of = |path: &Path| match path.extension() {
        _ if path.is_dir() => lines_below(path),
        Some(end) if end == "rs" => code_lines(&fs::read_to_string(path).unwrap()),
        _ => 0,
    };
    entries.map(|entry| of(&entry.unwrap().path())).sum()
}

#[test]
fn examples_stay_within_their_budgets() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for (folders, budget) in BUDGETS {
        let of = |folder: &&str| lines_below(&examples.join(folder));
        let lines: usize = folders.iter().map(of).sum();
        let name = folders.join(", ");
        eprintln!("examples/{name}: {lines} of {budget} lines");
        assert!(lines > 0, "examples/{name} is empty");
        assert!(
            lines <= *budget,
            "examples/{name}: {lines} lines, {budget} at most"
        );
    }
}

#[test]
fn a_line_counts_if_it_has_code() {
    let source =
        "//! Map.\n\nfn a() { // why\n    /// Doc.\n    b();\n}\n#[cfg(test)]\nmod tests;\n";
    assert_eq!(code_lines(source), 3);
}
