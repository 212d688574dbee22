//! The command line: [`commands`] as scripts see them, [`messages`] as people read them, [`synth`] the data that
//! `trident gen` makes, [`threads`] what becomes of commands that get too few. `etl` and `load` have folders of their own.

mod commands;
mod messages;
mod synth;
pub mod threads;
