//! Goals as given on the command line.

#[test]
fn goals_are_numbers_for_all_or_by_name() {
    let endpoints = ["a".to_owned(), "b".to_owned()];
    let goals = |text| super::options::goals(text, &endpoints);
    assert_eq!(goals("5").unwrap(), [5.0, 5.0]);
    assert_eq!(goals("b=7, a=2").unwrap(), [2.0, 7.0]);
    assert_eq!(goals("b=7").unwrap(), [10_000.0, 7.0]);
    for text in ["", "0", "-1", "nan", "a", "c=1", "a=0"] {
        let message = goals(text).unwrap_err().to_string();
        assert!(
            message.starts_with("--goal: expected a number above 0"),
            "{message}"
        );
    }
}
