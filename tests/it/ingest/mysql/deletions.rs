//! Deletions in a database: a deleted tweet keeps its row, whichever instance and whichever import made it.

use super::*;

/// Two instances in turn answer each batch as the embedded store does, and leave what `trident etl` makes.
#[test]
fn deletions_through_two_instances_give_the_store_of_the_whole() {
    let split = split(lines_with_deletions(320, 500, 30), 320, 8, true);
    let Some(database) = loaded(&split, &[]) else {
        return;
    };
    assert_eq!(checksums(&database), checksums_of(&split.expected[0]));
    let embedded = serve(&split.path, &[ON]);
    let servers = [(); 2].map(|()| serve_from(&database.url(), &[ON]));
    let (mut deleted, mut too_late) = (0, 0);
    for (n, batch) in split.batches.iter().enumerate() {
        let wanted = answer(&embedded, batch);
        assert_eq!(answer(&servers[n % 2], batch), wanted, "batch {n}");
        assert_eq!(
            checksums(&database),
            checksums_of(&split.expected[n + 1]),
            "batch {n}"
        );
        deleted += wanted["tweets_deleted"].as_u64().unwrap();
        too_late += wanted["deleted"].as_u64().unwrap();
    }
    assert!(deleted > 10 && too_late > 10, "{deleted} {too_late}");
    let history = split.expected.last().unwrap().history.unwrap();
    let rows = |condition: &str| {
        database.number(&format!(
            "SELECT COUNT(*) FROM trident.trident_tweets {condition}"
        ))
    };
    assert_eq!(rows("WHERE record = ''"), history.deletions);
    assert_eq!(rows(""), history.tweets + history.deletions);
}

/// A tweet deleted on one instance is not taken again by the other, nor after an import of the remaining store.
#[test]
fn a_deleted_tweet_stays_deleted_on_every_instance_and_after_an_import() {
    let lines = lines(321, 200, 20);
    let (directory, path) = built(&lines);
    let Some((database, servers)) = two_instances(&path) else {
        return;
    };
    let all = lines.concat();
    let deletions: Vec<_> = lines.iter().filter_map(|line| deletion_of(line)).collect();
    let deletions = deletions.join(&b'\n');
    let gone = answer(&servers[0], &deletions);
    let tweets = gone["tweets_deleted"].as_u64().unwrap();
    assert!(tweets > 100, "{gone}");
    for server in &servers {
        for batch in [&deletions, &all] {
            let again = answer(server, batch);
            let changed = [
                &again["batch"],
                &again["tweets_new"],
                &again["tweets_deleted"],
            ];
            assert_eq!(changed, [0, 0, 0], "{again}");
        }
        assert!(answer(server, &all)["deleted"].as_u64().unwrap() >= tweets);
    }
    // Nobody has a contact any more.
    assert_eq!(
        database.number("SELECT COUNT(*) FROM trident.trident_users"),
        0
    );
    let left = checksums(&database);
    let expected = build(
        &directory,
        &path,
        &[lines, vec![deletions.clone()]].concat(),
        true,
    );
    assert_eq!(left, checksums_of(&expected));
    import(&database.url(), &path, true);
    assert_eq!(checksums(&database), left);
    assert_eq!(answer(&servers[1], &all)["batch"], 0);
}

/// `DELETE` on one instance takes effect on the others too.
#[test]
fn one_tweet_is_deleted_by_its_number_on_every_instance() {
    let lines = lines(322, 100, 20);
    let (directory, path) = built(&lines);
    let Some((database, servers)) = two_instances(&path) else {
        return;
    };
    let ids = database.root(
        "SELECT tweet_id FROM trident.trident_tweets WHERE record != '' ORDER BY tweet_id LIMIT 9",
    );
    let mut deletions = Vec::new();
    for (n, id) in ids.lines().chain(["7"]).enumerate() {
        let request = format!("DELETE /twitter/tweets?id={id} HTTP/1.1\r\nHost: t\r\n\r\n");
        let first = counts(&admin(&servers[n % 2]).ask(request.as_bytes()));
        assert_eq!(first["tweets_deleted"], u64::from(id != "7"), "{first}");
        let again = counts(&admin(&servers[(n + 1) % 2]).ask(request.as_bytes()));
        assert_eq!(again["batch"], 0, "{id}");
        deletions.push(format!("{{\"delete\":{{\"status\":{{\"id\":{id}}}}}}}\n").into_bytes());
    }
    let expected = build(&directory, &path, &[lines, deletions].concat(), true);
    assert_eq!(checksums(&database), checksums_of(&expected));
}

/// The answer to a batch, without its cost.
fn answer(server: &Server, batch: &[u8]) -> serde_json::Value {
    let mut answer = counts(&admin(server).ask(&post(&gzip(batch), GZIP)));
    answer.as_object_mut().unwrap().remove("work").unwrap();
    answer
}

/// A store with history of these lines, and where it is.
fn built(lines: &[Vec<u8>]) -> (Directory, PathBuf) {
    let directory = fresh_directory("ingest");
    let path = directory.join("store");
    build(&directory, &path, lines, true);
    (directory, path)
}

/// Two servers of one database with the store at `path` in it.
fn two_instances(path: &Path) -> Option<(Database, [Server; 2])> {
    let database = Database::start(&[])?;
    import(&database.url(), path, true);
    let servers = [(); 2].map(|()| serve_from(&database.url(), &[ON]));
    Some((database, servers))
}
