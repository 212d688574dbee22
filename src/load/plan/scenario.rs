//! Scenario files: stages in TOML (docs/load.md, `config/scenarios/`).

use crate::load::{
    error::LoadError,
    plan::stage::{Load, Ramp, Stage},
};
use serde::Deserialize;
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

/// Weights of endpoints by name.
pub type Mix = BTreeMap<String, f64>;

/// Most users: about as many as a machine has ports.
const USERS_MAX: f64 = 60_000.0;
/// Highest rate, in requests per second: above what any generator sends.
const RATE_MAX: f64 = 10_000_000.0;
/// Longest stage: a week.
const SECONDS_MAX: f64 = 7.0 * 86_400.0;

/// A scenario as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name in reports.
    pub name: String,
    /// Its stages, each with its mix; [`weights`] turns a mix into weights for a corpus.
    pub stages: Vec<(Stage, Option<Mix>)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    /// For readers of the file only.
    #[serde(default, rename = "about")]
    _about: String,
    mix: Option<Mix>,
    #[serde(default)]
    think_ms: Think,
    stage: Vec<FileStage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileStage {
    name: Option<String>,
    duration_s: f64,
    users: Option<f64>,
    rate: Option<f64>,
    #[serde(default)]
    ramp: bool,
    think_ms: Option<Think>,
    mix: Option<Mix>,
    #[serde(default)]
    warmup: bool,
}

/// One time, or the least and the greatest.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Think {
    Always(f64),
    Between([f64; 2]),
}

impl Default for Think {
    fn default() -> Self {
        Self::Always(0.0)
    }
}

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read or is not a scenario; the message says where.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let text = fs::read_to_string(path).map_err(|source| LoadError::Input {
            path: path.into(),
            source,
        })?;
        Self::parse(&text)
            .map_err(|message| LoadError::Usage(format!("{}: {message}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.stage.is_empty() {
            return Err("no stage in it".into());
        }
        let mut stages: Vec<(Stage, Option<Mix>)> = Vec::new();
        for (index, stage) in file.stage.iter().enumerate() {
            let before = stages.last().map(|(stage, _)| stage.load);
            let load = load(stage, file.think_ms, before)
                .map_err(|message| format!("stage {}: {message}", index + 1))?;
            let mix = stage.mix.clone().or_else(|| file.mix.clone());
            let stage = Stage {
                name: stage.name.clone().unwrap_or_else(|| load.text()),
                duration: Duration::from_secs_f64(stage.duration_s),
                load,
                weights: Vec::new(),
                measured: !stage.warmup,
                requests: None,
            };
            stages.push((stage, mix));
        }
        if !stages.iter().any(|(stage, _)| stage.measured) {
            return Err("every stage is a warm-up".into());
        }
        Ok(Self {
            name: file.name,
            stages,
        })
    }
}

fn load(stage: &FileStage, think: Think, before: Option<Load>) -> Result<Load, String> {
    if !(stage.duration_s > 0.0 && stage.duration_s <= SECONDS_MAX) {
        return Err("duration_s must be above 0 and at most a week".into());
    }
    let start = |before: Option<f64>, value: f64| match (stage.ramp, before) {
        (false, _) => value,
        (true, before) => before.unwrap_or(0.0),
    };
    match (stage.users, stage.rate) {
        (Some(users), None) if (0.0..=USERS_MAX).contains(&users) => {
            let before = before.and_then(|load| match load {
                Load::Users { count, .. } => Some(count.to),
                Load::Rate(_) | Load::Replay { .. } => None,
            });
            let from = start(before, users);
            Ok(Load::Users {
                count: Ramp { from, to: users },
                think: think_time(stage.think_ms.unwrap_or(think))?,
            })
        }
        (None, Some(rate)) if (0.0..=RATE_MAX).contains(&rate) => {
            let before = before.and_then(|load| match load {
                Load::Rate(rate) => Some(rate.to),
                Load::Users { .. } | Load::Replay { .. } => None,
            });
            let from = start(before, rate);
            Ok(Load::Rate(Ramp { from, to: rate }))
        }
        (Some(_), Some(_)) | (None, None) => Err("give either users or rate".into()),
        _ => Err(format!(
            "users go up to {USERS_MAX}, a rate up to {RATE_MAX}"
        )),
    }
}

fn think_time(think: Think) -> Result<(Duration, Duration), String> {
    let [least, most] = match think {
        Think::Always(ms) => [ms, ms],
        Think::Between(bounds) => bounds,
    };
    if !(least >= 0.0 && least <= most && most <= 1000.0 * SECONDS_MAX) {
        return Err("think_ms is a time, or [least, most]".into());
    }
    let duration = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
    Ok((duration(least), duration(most)))
}

/// The weight of each of `endpoints`; without a mix all are equal.
///
/// # Errors
/// A name that the corpus does not have, a negative weight, or only zeros.
pub fn weights(mix: Option<&Mix>, endpoints: &[String]) -> Result<Vec<f64>, LoadError> {
    let Some(mix) = mix else {
        return Ok(vec![1.0; endpoints.len()]);
    };
    let refused = |message: String| Err(LoadError::Usage(format!("mix: {message}")));
    if let Some(name) = mix.keys().find(|name| !endpoints.contains(name)) {
        return refused(format!(
            "the corpus has no endpoint {name:?}, only {}",
            endpoints.join(", ")
        ));
    }
    if mix.values().any(|weight| !(0.0..=1e9).contains(weight)) || mix.values().all(|w| *w == 0.0) {
        return refused("weights are numbers from 0, and one is above it".into());
    }
    let weight = |name| mix.get(name).copied().unwrap_or(0.0);
    Ok(endpoints.iter().map(weight).collect())
}

/// Reads `blockchain=1,qrcode=2`; the weight may be left out.
///
/// # Errors
/// Something else.
pub fn parse_mix(text: &str) -> Result<Mix, LoadError> {
    let one = |item: &str| {
        let (name, weight) = item.split_once('=').unwrap_or((item, "1"));
        let weight = weight.trim().parse().ok()?;
        (!name.trim().is_empty()).then(|| (name.trim().to_owned(), weight))
    };
    text.split(',')
        .map(one)
        .collect::<Option<Mix>>()
        .ok_or_else(|| {
            LoadError::Usage(format!(
                "--mix: expected NAME=WEIGHT,… such as blockchain=1,qrcode=2, got {text:?}"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_follow_each_other() {
        let scenario = Scenario::parse(
            "name = 'x'\nthink_ms = 10\n[mix]\na = 1\n\
             [[stage]]\nduration_s = 1\nusers = 5\nwarmup = true\n\
             [[stage]]\nname = 'up'\nduration_s = 2.5\nusers = 50\nramp = true\nthink_ms = [1, 2]\n\
             [[stage]]\nduration_s = 1\nrate = 100\nramp = true\nmix = { b = 2 }\n",
        )
        .unwrap();
        let [first, second, third] = &scenario.stages[..] else {
            panic!("{scenario:?}")
        };
        assert_eq!(
            (first.0.name.as_str(), first.0.measured),
            ("5 users", false)
        );
        let ms = Duration::from_millis;
        assert_eq!(
            second.0.load,
            Load::Users {
                count: Ramp {
                    from: 5.0,
                    to: 50.0
                },
                think: (ms(1), ms(2))
            }
        );
        assert_eq!(second.0.duration, ms(2500));
        assert_eq!(
            third.0.load,
            Load::Rate(Ramp {
                from: 0.0,
                to: 100.0
            })
        );
        assert_eq!(third.1, Some(Mix::from([("b".into(), 2.0)])));
    }

    #[test]
    fn a_wrong_file_is_told_where() {
        for (text, hint) in [
            ("name = 'x'", "missing field `stage`"),
            ("name = 'x'\nstage = []", "no stage"),
            (
                "name = 'x'\n[[stage]]\nduration_s = 1",
                "stage 1: give either",
            ),
            (
                "name = 'x'\n[[stage]]\nduration_s = 0\nusers = 1",
                "stage 1: duration_s",
            ),
            (
                "name = 'x'\n[[stage]]\nduration_s = nan\nusers = 1",
                "stage 1: duration_s",
            ),
            (
                "name = 'x'\n[[stage]]\nduration_s = 1\nusers = 1e9",
                "users go up to",
            ),
            (
                "name = 'x'\n[[stage]]\nduration_s = 1\nusers = 1\nthink_ms = [2, 1]",
                "think_ms",
            ),
            (
                "name = 'x'\n[[stage]]\nduration_s = 1\nuser = 1",
                "unknown field",
            ),
            (
                "name = 'x'\n[[stage]]\nduration_s = 1\nusers = 1\nwarmup = true",
                "every stage",
            ),
        ] {
            let message = Scenario::parse(text).unwrap_err();
            assert!(message.contains(hint), "{text}: {message}");
        }
    }

    #[test]
    fn the_shipped_scenarios_can_be_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/scenarios");
        let mut count = 0;
        for entry in fs::read_dir(folder).unwrap() {
            Scenario::read(&entry.unwrap().path()).unwrap();
            count += 1;
        }
        assert!(count >= 4);
    }

    #[test]
    fn a_mix_becomes_weights() {
        let endpoints = ["a".to_owned(), "b".to_owned()];
        let weigh = |text| weights(Some(&parse_mix(text)?), &endpoints);
        assert_eq!(weigh("b=2").unwrap(), [0.0, 2.0]);
        assert_eq!(weigh("a, b=0.5").unwrap(), [1.0, 0.5]);
        for (text, hint) in [
            ("c", "no endpoint"),
            ("a=x", "NAME=WEIGHT"),
            ("a=0", "above"),
            ("a=-1", "above"),
        ] {
            assert!(
                weigh(text).unwrap_err().to_string().contains(hint),
                "{text}"
            );
        }
        assert_eq!(weights(None, &endpoints).unwrap(), [1.0, 1.0]);
    }
}
