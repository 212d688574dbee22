//! `limit` and `offset`: pieces of the whole answer, which the oracle has checked.

use super::*;

const CONTACTS: u64 = 25;

#[test]
fn pages_are_pieces_of_the_whole_answer() {
    let directory = TempDir::new();
    let path = directory.join("store");
    let texts: Vec<String> = (0..CONTACTS)
        .map(|n| "ab ".repeat(n as usize % 7 + 1))
        .collect();
    let tweets: Vec<[Tweet<'_>; 1]> = texts
        .iter()
        .map(|text| [(1, text.as_str(), &[][..])])
        .collect();
    let contacts: Vec<Contact<'_>> = (2..)
        .zip(&tweets)
        .map(|(id, tweet)| (id, 0, &tweet[..]))
        .collect();
    store(&path, [(1, value(1, &contacts))]);
    let server = serve(&path, &[]);
    let mut client = server.connect();
    let whole = ask(&mut client, "user_id=1&type=both&phrase=ab&hashtag=x").text();
    let rows: Vec<&str> = whole.strip_prefix(TEAM_LINE).unwrap().split('\n').collect();
    assert_eq!(rows.len() as u64, CONTACTS);
    for (page, wanted) in [
        ("", 0..25),
        ("&limit=100", 0..25),
        ("&offset=0&limit=25", 0..25),
        ("&limit=1", 0..1),
        ("&limit=24", 0..24),
        ("&offset=24", 24..25),
        ("&limit=7&offset=5", 5..12),
        ("&limit=9223372036854775807&offset=20", 20..25),
        ("&offset=25", 25..25),
        ("&offset=9223372036854775807&limit=3", 25..25),
    ] {
        let query = format!("user_id=1&type=both&phrase=ab&hashtag=x{page}");
        let answer = ask(&mut client, &query);
        let expected = format!("{TEAM_LINE}{}", rows[wanted].join("\n"));
        assert_eq!((answer.status, answer.text()), (200, expected), "{page}");
    }
}

#[test]
fn a_page_that_is_no_number_is_refused_by_name_and_changes_no_invalid_answer() {
    let server = Server::start(&TEAM);
    let mut client = server.connect();
    let before = server.metric("trident_invalid_total{endpoint=\"twitter\",reason=\"limit\"}");
    for (page, name) in [
        ("limit=0", "limit"),
        ("limit=", "limit"),
        ("limit=ten&offset=1", "limit"),
        ("limit=1&offset=-1", "offset"),
    ] {
        let query = format!("user_id=3298353627&type=both&phrase=a&hashtag=b&{page}");
        let answer = ask(&mut client, &query);
        assert_eq!(answer.status, 400, "{page}");
        assert!(
            answer.text().starts_with(&format!("{name}: ")),
            "{answer:?}"
        );
        let invalid = ask(
            &mut client,
            &format!("user_id=x&type=both&phrase=a&hashtag=b&{page}"),
        );
        assert_eq!(
            (invalid.status, invalid.text()),
            (200, format!("{TEAM_LINE}INVALID"))
        );
    }
    let counted = server.metric("trident_invalid_total{endpoint=\"twitter\",reason=\"limit\"}");
    assert_eq!(counted - before, 3);
}
