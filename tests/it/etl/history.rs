//! What a store keeps for later updates.

use super::{
    options,
    sets::{self, Set, fresh_directory},
};
use std::collections::BTreeMap;
use trident::etl::{
    self, EtlError, Options,
    progress::Silent,
    record::excluded::Excluded,
    record::records::{TweetRecord, UserStateRecord},
    run::pipe::{self, Order, Reducing},
    run::totals::Building,
    sink::user_sink::{DumpSink, SinkError, UserSink},
};

#[derive(Default)]
struct Collector {
    tweets: Vec<(u64, Vec<u8>)>,
    user_states: Vec<(u64, Vec<u8>)>,
    users: Vec<u64>,
}

impl UserSink for Collector {
    fn put(&mut self, user_id: u64, _: &[u8]) -> Result<(), SinkError> {
        self.users.push(user_id);
        Ok(())
    }

    fn put_tweet(&mut self, tweet_id: u64, record: &[u8]) -> Result<(), SinkError> {
        assert!(self.user_states.is_empty());
        self.tweets.push((tweet_id, record.to_vec()));
        Ok(())
    }

    fn put_person(&mut self, user_id: u64, record: &[u8]) -> Result<(), SinkError> {
        assert!(self.users.is_empty());
        self.user_states.push((user_id, record.to_vec()));
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

fn collected(set: &Set) -> Collector {
    let directory = fresh_directory("history");
    let options = Options {
        history: true,
        ..options(set, vec![set.data.clone()], directory.join("work"))
    };
    let mut sink = Collector::default();
    etl::run(&options, &mut sink, &Silent).unwrap();
    sink
}

#[test]
fn history_holds_every_kept_tweet_and_every_user() {
    for set in sets::all() {
        let sink = collected(set);
        assert!(sink.tweets.is_sorted_by(|a, b| a.0 < b.0));
        assert!(sink.user_states.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(sink.tweets.len() as u64, set.stat("tweets"));

        let mut parts: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut lines = Vec::new();
        for (id, record) in &sink.tweets {
            let tweet = TweetRecord::parse(record).unwrap();
            assert_eq!(tweet.id, *id);
            for user in [Some(tweet.user), tweet.reply, tweet.retweet]
                .into_iter()
                .flatten()
            {
                let ids = parts.entry(user).or_default();
                if ids.last() != Some(id) {
                    ids.push(*id);
                }
            }
            lines.extend_from_slice(record);
            lines.push(b'\n');
        }
        let user_states: Vec<_> = sink
            .user_states
            .iter()
            .map(|(_, record)| UserStateRecord::parse(record).unwrap())
            .collect();
        let ids = user_states
            .iter()
            .map(|p| (p.user, p.tweet_ids().collect()))
            .collect();
        assert_eq!(parts, ids, "{}", set.name);
        let profiles = user_states
            .iter()
            .filter(|person| person.stamp.is_some())
            .count();
        assert_eq!(profiles as u64, set.stat("users_with_info"));

        // The tweets alone are enough to make everything again.
        let excluded = Excluded::load(&set.excluded).unwrap();
        let work = fresh_directory("history");
        let any = Order::Any {
            directory: work.to_path_buf(),
            memory_bytes: 1 << 20,
        };
        let reduce = |input: &[u8]| {
            let mut out = Vec::new();
            let what = Reducing {
                top: 1,
                history: false,
            };
            pipe::reduce(input, &any, &excluded, what, &mut out).unwrap();
            out
        };
        let mut dump = Vec::new();
        let pairs = reduce(&reduce(&lines));
        let mut sink = DumpSink::new(&mut dump);
        let what = Building {
            allow_empty: false,
            top: 1,
            history: None,
        };
        // All values are there; what is missed is the report of a `map`, because none has run.
        let built = pipe::build(pairs.as_slice(), &any, what, &mut sink);
        assert!(matches!(built, Err(EtlError::Lost { taken, .. }) if taken > 0));
        assert!(dump == set.dump.as_bytes());
    }
}

#[test]
fn tags_of_users_are_the_tags_of_the_oracle() {
    let set = &sets::all()[2];
    let sink = collected(set);
    let mut ours = BTreeMap::new();
    for (user, record) in &sink.user_states {
        let mut tags = UserStateRecord::parse(record).unwrap().tags();
        while let Some(entry) = tags.next_count() {
            let (count, tag) = entry.unwrap();
            ours.insert((*user, String::from_utf8(tag.to_vec()).unwrap()), count);
        }
    }
    let oracle: BTreeMap<(u64, String), u64> = set
        .oracle("tables")
        .lines()
        .filter_map(|line| serde_json::from_str::<(String, u64, String, u64)>(line).ok())
        .filter(|(kind, ..)| kind == "tag")
        .map(|(_, user, tag, count)| ((user, tag), count))
        .collect();
    assert!(oracle.len() > 100);
    assert_eq!(ours, oracle);
}
