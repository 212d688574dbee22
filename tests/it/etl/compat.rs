//! Strings that are not Unicode, and rounded numbers: both ways of the oracle.

use super::{
    assert_equal_dumps,
    command::{ended, trident},
    dump, options,
    sets::{self, fresh_directory},
};
use trident::etl::{Options, record::compat::Compat};

#[test]
fn both_ways_with_damaged_strings_equal_the_oracle() {
    let mut differences = 0;
    for set in sets::all() {
        for (compat, name) in [(Compat::Replace, "replace"), (Compat::Spark, "spark")] {
            let directory = fresh_directory("compat");
            let inputs = vec![set.data.clone()];
            let options = Options {
                compat,
                ..options(set, inputs, directory.join("work"))
            };
            let (ours, report) = dump(&options);
            let what = format!("{}: {name}", set.name);
            assert_equal_dumps(&ours, &set.oracle_as(name, "dump"), &what);
            let stats = set.oracle_as(name, "stats");
            let stat = |name: &str| {
                let line = stats.lines().find_map(|line| line.strip_prefix(name));
                line.map_or(0, |number| number.trim().parse().unwrap())
            };
            assert_eq!(report.counts.valid, stat("valid "), "{what}");
            assert_eq!(report.counts.ids_differ, stat("ids_differ "), "{what}");
            differences += usize::from(compat == Compat::Spark && ours != set.dump);
        }
    }
    assert!(differences > 1, "the sets show no difference");
}

/// JavaScript's doubles make two tweets look like one; the text beside the number tells them apart.
#[test]
fn rounded_numbers_lose_to_the_text_beside_them() {
    let set = sets::all()
        .iter()
        .find(|set| set.name == "by hand")
        .unwrap();
    let directory = fresh_directory("rounded");
    let inputs = vec![set.data.clone()];
    let (ours, report) = dump(&options(set, inputs, directory.join("work")));
    for id in ["1234567890123456789", "1234567890123456791"] {
        assert!(ours.contains(&format!("{{\"id\":{id},")), "{id}");
        assert!(ours.contains(&format!("{{\"user_id\":{id},")), "{id}");
    }
    assert_eq!(report.counts.ids_differ, 2);
    assert_eq!(report.to_json()["ids_differ"], 2);
    assert!(report.to_string().contains("kept by their _str ids"));
}

#[test]
fn a_store_with_history_has_no_other_way() {
    let directory = fresh_directory("history");
    let store = directory.join("store");
    let mut command = trident(&[&"etl", &"--input", &"-", &"--output", &store]);
    command.args(["--compat", "spark", "--keep-history"]);
    let (code, _, err) = ended(&mut command);
    assert_eq!(code, 64, "{err}");
    assert!(err.contains("--compat spark and --keep-history"), "{err}");
}
