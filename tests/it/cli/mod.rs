//! The command line: [`commands`] as scripts see them, [`messages`] as people read them, [`synth`] the data that
//! `trident gen` makes. `etl` and `load` have folders of their own.

mod commands;
mod messages;
mod synth;
