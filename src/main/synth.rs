//! Runs `trident gen`.

use std::{
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, Write},
    path::Path,
};
use trident::{
    cli::{GenCommand, GenTargets, GenTo, GenWorld},
    exit::{ExitCode, Stop},
    synth::{
        Options, World, blockchain, is_of_share,
        output::{Form, write_lines},
        qrcode,
    },
};

/// Makes what was asked for.
pub fn run(what: &GenCommand) -> Result<(), Stop> {
    match what {
        GenCommand::Tweets { world, popular, to } => {
            let made = made(world);
            if let Some(file) = popular {
                fs::write(file, made.excluded_list()).map_err(|error| failed(file, &error))?;
            }
            write(world.lines, to, |index, out| made.write_line(index, out))
        }
        GenCommand::Queries { world, count, to } => {
            let made = made(world);
            write(*count, to, |index, out| {
                let mut target = String::from("/twitter?");
                made.write_query(index, world.lines, &mut target);
                out.extend_from_slice(target.as_bytes());
            })
        }
        GenCommand::Blockchain { targets, to } => {
            let GenTargets {
                count,
                seed,
                invalid,
            } = *targets;
            write(count, to, |index, out| {
                blockchain::write_target(seed, index, is_of_share(index, invalid), out)
            })
        }
        GenCommand::Qrcode { targets, to } => {
            let GenTargets {
                count,
                seed,
                invalid,
            } = *targets;
            let made = qrcode::Targets::default();
            write(count, to, |index, out| {
                made.write_target(seed, index, is_of_share(index, invalid), out)
            })
        }
    }
}

fn made(world: &GenWorld) -> World {
    let usual = Options::for_lines(world.seed, world.lines);
    World::new(Options {
        users: world.users.unwrap_or(usual.users),
        tags: world.tags.unwrap_or(usual.tags),
        valid_per_mille: (world.valid * 1000.0).round() as u64,
        ..usual
    })
}

fn write(
    lines: u64,
    to: &GenTo,
    write_line: impl Fn(u64, &mut Vec<u8>) + Sync,
) -> Result<(), Stop> {
    let workers = to
        .workers
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get()));
    let form = match to.output.extension() {
        Some(extension) if extension == "gz" => Form::Gzip,
        _ => Form::Plain,
    };
    let written = if to.output == Path::new("-") {
        write_lines(lines, workers, form, &mut io::stdout(), write_line)
    } else {
        File::create(&to.output).and_then(|file| {
            let mut file = BufWriter::new(file);
            write_lines(lines, workers, form, &mut file, write_line)?;
            file.flush()
        })
    };
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(failed(&to.output, &error)),
        _ => Ok(()),
    }
}

fn failed(path: &Path, error: &io::Error) -> Stop {
    let message = format!("cannot write {}: {error}", path.display());
    Stop::new(ExitCode::Failure, message)
}
