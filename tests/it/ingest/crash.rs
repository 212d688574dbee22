//! Servers that are killed while they write: accepted batches are stored, and no batch is stored in part.

use super::*;

const ON: &str = "twitter.ingest=admin";

/// Kills at random points until all batches are in; after each kill the store is that of the batches
/// accepted so far, or of one more, whose answer was lost.
#[test]
fn no_accepted_batch_is_lost() {
    for seed in [201, 202] {
        let split = split(lines(seed, 900, 40), seed, 14, true);
        let mut random = Random(seed);
        let mut accepted = 0;
        while accepted < split.batches.len() {
            let server = serve(&split.path, &[ON]);
            accepted += send_until_killed(&server, &mut random, &split.batches[accepted..]);
            drop(server);
            let found = verify(&split.path);
            let place = split.expected.iter().position(|meta| *meta == found);
            assert!(
                place.is_some_and(|n| split.expected[accepted] == found || n == accepted + 1),
                "seed {seed}: {accepted} accepted, the store is that of {place:?}"
            );
        }
        // Everything once more: nothing changes.
        let server = serve(&split.path, &[ON]);
        for batch in &split.batches {
            assert_eq!(counts(&admin(&server).ask(&post(batch, "")))["batch"], 0);
        }
        drop(server);
        assert_eq!(verify(&split.path), split.expected[split.batches.len()]);
    }
}

/// A stop by signal lets batches that were sent finish.
#[test]
fn a_stop_answers_what_was_sent() {
    let split = split(lines(203, 500, 40), 203, 4, false);
    let mut server = serve(&split.path, &[ON, "drain.accept_ms=0", "drain.quiet_ms=0"]);
    let mut clients: Vec<Client> = split.batches.iter().map(|_| admin(&server)).collect();
    for (client, batch) in clients.iter_mut().zip(&split.batches) {
        client.send(&post(batch, ""));
    }
    // Seen by the server: the last one's answer to come is not the first byte it reads.
    counts(&clients[0].response().unwrap());
    server.signal("TERM");
    let answered = clients[1..].iter_mut().filter_map(Client::response);
    assert_eq!(answered.filter(|answer| answer.status == 200).count(), 3);
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(verify(&split.path), split.expected[0]);
}
