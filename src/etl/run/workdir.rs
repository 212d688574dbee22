//! The work directory: the files of the stages, and a manifest of the finished stages.
//!
//! A stage writes into its own directories and makes their files durable; only then is it entered in the
//! manifest, which is replaced atomically. So after a crash the manifest names exactly the stages with
//! complete output. The next run with the same plan deletes the output of an unfinished stage and continues
//! from there. A lock keeps two runs out of one directory.

use crate::etl::{
    error::EtlError,
    read::list::Source,
    record::compat::Compat,
    run::report::{Report, StageReport},
    stage::counts::{Counts, SkippedFile},
    stage::examples::DroppedLine,
    stage::tags::TagReport,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

/// Version of the manifest and of the work files.
const VERSION: u32 = 2;
const MANIFEST: &str = "manifest.json";
const LOCK: &str = "lock";

/// All inputs and options that decide the output of the stages. A run may be resumed only with an equal
/// plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The input, with lengths and times.
    pub sources: Vec<Source>,
    /// SHA-256 of the sorted list of excluded tags, hexadecimal.
    pub exclude_sha256: String,
    /// Partitions of every shuffle.
    pub partitions: usize,
    /// Whether damaged input files are used as far as they can be read.
    pub skip_bad_files: bool,
    /// What becomes of damaged strings.
    #[serde(default)]
    pub compat: Compat,
    /// Whether the sink also gets the history.
    pub history: bool,
    /// Number of most frequent tags in the report.
    pub top: usize,
}

impl Plan {
    /// Whether equal plans mean equal input; not so for standard input.
    fn is_recognisable(&self) -> bool {
        !self.sources.iter().any(Source::is_stdin)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    version: u32,
    plan: Plan,
    /// The name of the result; may change from one attempt to the next.
    #[serde(default)]
    output: Option<PathBuf>,
    /// The result is complete and this directory is being deleted.
    #[serde(default)]
    closed: bool,
    finished: Vec<Finished>,
    counts: Counts,
    skipped_files: Vec<SkippedFile>,
    #[serde(default)]
    examples: Vec<DroppedLine>,
    #[serde(default)]
    left_out: Vec<String>,
    tags: TagReport,
}

impl Manifest {
    fn new(plan: Plan) -> Self {
        Self {
            version: VERSION,
            plan,
            output: None,
            closed: false,
            finished: Vec::new(),
            counts: Counts::default(),
            skipped_files: Vec::new(),
            examples: Vec::new(),
            left_out: Vec::new(),
            tags: TagReport::default(),
        }
    }

    /// Whether this is a run of `plan` with the result `output`.
    fn is_for(&self, plan: &Plan, output: &Path) -> bool {
        self.version == VERSION
            && self.plan == *plan
            && plan.is_recognisable()
            && self.output.as_deref() == Some(output)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Finished {
    report: StageReport,
    /// Output directories: lengths of their files in bytes, by partition.
    outputs: BTreeMap<String, Vec<u64>>,
}

/// What a complete stage returns.
#[derive(Debug, Default)]
pub struct StageOutput {
    /// Numbers to add to the report.
    pub counts: Counts,
    /// Files read only in part.
    pub skipped_files: Vec<SkippedFile>,
    /// For each reason the first line dropped for it.
    pub examples: Vec<DroppedLine>,
    /// Members of archives that were not read.
    pub left_out: Vec<String>,
    /// Tag frequencies, from the stage that counts them.
    pub tags: Option<TagReport>,
    /// Output directories with the lengths of their durable files.
    pub outputs: Vec<(&'static str, Vec<u64>)>,
    /// Bytes read.
    pub read_bytes: u64,
}

/// An open, locked work directory.
pub struct WorkDir {
    path: PathBuf,
    manifest: Manifest,
    /// Held open for its lock, which the kernel releases when the process ends.
    _lock: File,
}

impl WorkDir {
    /// Opens or creates `path` for `plan`, and records the result's name `output`.
    pub fn open(path: &Path, plan: Plan, output: Option<PathBuf>) -> Result<Self, EtlError> {
        fs::create_dir_all(path).map_err(|e| EtlError::io("create", path, 0, e))?;
        let lock = lock(&path.join(LOCK))?;
        let mut manifest = match read_manifest(&path.join(MANIFEST))? {
            // A run that has finished no stage, or all stages, has nothing to lose: another may replace it.
            Some(manifest) if manifest.finished.is_empty() || manifest.closed => {
                Manifest::new(plan)
            }
            Some(manifest) => check_plan(path, manifest, &plan)?,
            None => {
                refuse_foreign_files(path)?;
                Manifest::new(plan)
            }
        };
        manifest.output = output;
        let work = Self {
            path: path.to_owned(),
            manifest,
            _lock: lock,
        };
        work.save()?;
        Ok(work)
    }

    /// Whether an earlier run has finished `stage`.
    pub fn is_finished(&self, stage: &str) -> bool {
        self.manifest
            .finished
            .iter()
            .any(|finished| finished.report.stage == stage)
    }

    /// A directory of work files.
    pub fn directory(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes `name` an empty directory for a stage to write to.
    pub fn create(&self, name: &str) -> Result<PathBuf, EtlError> {
        let path = self.directory(name);
        remove(&path)?;
        fs::create_dir(&path).map_err(|e| EtlError::io("create", &path, 0, e))?;
        Ok(path)
    }

    /// The lengths of the files of a finished stage in `name`, after a check that they still have them.
    pub fn outputs(&self, name: &str) -> Result<Vec<u64>, EtlError> {
        let lengths = self
            .manifest
            .finished
            .iter()
            .find_map(|f| f.outputs.get(name));
        let lengths = lengths.cloned().unwrap_or_default();
        for (index, &bytes) in lengths.iter().enumerate() {
            let path = crate::etl::shuffle::spill::partition_path(&self.directory(name), index);
            let found = fs::metadata(&path)
                .map_err(|e| EtlError::io("open", &path, 0, e))?
                .len();
            if found != bytes {
                return Err(EtlError::Usage(format!(
                    "{} has {found} bytes instead of {bytes}: remove {} and run again",
                    path.display(),
                    self.path.display()
                )));
            }
        }
        Ok(lengths)
    }

    /// Records that `stage` is complete, then deletes the directories `consumed`.
    pub fn finish(
        &mut self,
        stage: StageReport,
        outcome: StageOutput,
        consumed: &[&str],
    ) -> Result<(), EtlError> {
        for (name, _) in &outcome.outputs {
            sync_directory(&self.directory(name))?;
        }
        let outputs = outcome
            .outputs
            .into_iter()
            .map(|(name, n)| (name.to_owned(), n))
            .collect();
        self.manifest.counts.add(&outcome.counts);
        self.manifest.skipped_files.extend(outcome.skipped_files);
        self.manifest.examples.extend(outcome.examples);
        self.manifest.left_out.extend(outcome.left_out);
        if let Some(tags) = outcome.tags {
            self.manifest.tags = tags;
        }
        self.manifest.finished.push(Finished {
            report: stage,
            outputs,
        });
        self.save()?;
        consumed
            .iter()
            .try_for_each(|name| remove(&self.directory(name)))
    }

    /// The report of all finished stages.
    pub fn report(&self) -> Report {
        let manifest = &self.manifest;
        Report {
            counts: manifest.counts,
            skipped_files: manifest.skipped_files.clone(),
            examples: manifest.examples.clone(),
            left_out: manifest.left_out.clone(),
            stages: manifest
                .finished
                .iter()
                .map(|finished| finished.report.clone())
                .collect(),
            tags: manifest.tags.clone(),
        }
    }

    /// Ends the run: enters its last stage, unless the manifest has it, and deletes the directory. The
    /// manifest is marked first and deleted last, so that the next run recognises the rest after a crash.
    pub fn close(mut self, last: Option<StageReport>) -> Result<Report, EtlError> {
        self.manifest.finished.extend(last.map(|report| Finished {
            report,
            outputs: BTreeMap::new(),
        }));
        self.manifest.closed = true;
        self.save()?;
        self.remove()
    }

    fn remove(self) -> Result<Report, EtlError> {
        let failed = |e| EtlError::io("list", &self.path, 0, e);
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                remove(&path)?;
            }
        }
        remove(&self.path)?;
        Ok(self.report())
    }

    fn save(&self) -> Result<(), EtlError> {
        let path = self.path.join(MANIFEST);
        let new = self.path.join("manifest.new");
        let failed = |e| EtlError::io("write", &new, 0, e);
        let text = serde_json::to_vec(&self.manifest).map_err(|e| failed(e.into()))?;
        let mut file = File::create(&new).map_err(failed)?;
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        fs::rename(&new, &path).map_err(|e| EtlError::io("rename", &new, 0, e))?;
        sync_directory(&self.path)
    }
}

/// Whether a run of `plan` in `path` finished `stage` and had the result `output`. A file of this name may
/// then be its result or something else.
pub fn has_finished(
    path: &Path,
    plan: &Plan,
    output: &Path,
    stage: &str,
) -> Result<bool, EtlError> {
    let manifest = read_manifest(&path.join(MANIFEST))?;
    Ok(manifest.is_some_and(|manifest| {
        let mut finished = manifest.finished.iter();
        manifest.is_for(plan, output) && finished.any(|finished| finished.report.stage == stage)
    }))
}

/// Finishes a run of `plan` that was killed while it deleted `path`. Returns its report if there is such a
/// run and its result `output` exists.
pub fn finish_closed(path: &Path, plan: &Plan, output: &Path) -> Result<Option<Report>, EtlError> {
    let file = path.join(MANIFEST);
    let is_it =
        |manifest: &Manifest| manifest.closed && manifest.is_for(plan, output) && output.exists();
    if !read_manifest(&file)?.as_ref().is_some_and(is_it) {
        return Ok(None);
    }
    let lock = lock(&path.join(LOCK))?;
    // The previous holder of the lock may have changed the manifest.
    let Some(manifest) = read_manifest(&file)?.filter(is_it) else {
        return Ok(None);
    };
    let work = WorkDir {
        path: path.to_owned(),
        manifest,
        _lock: lock,
    };
    work.remove().map(Some)
}

fn lock(path: &Path) -> Result<File, EtlError> {
    // Not truncated: the directory may be somebody else's, and so may a file of this name.
    let opened = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    let file = opened.map_err(|e| EtlError::io("create", path, 0, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(EtlError::Usage(format!(
            "{} is locked: another run is using this work directory",
            path.display()
        ))),
        Err(TryLockError::Error(e)) => Err(EtlError::io("lock", path, 0, e)),
    }
}

fn read_manifest(path: &Path) -> Result<Option<Manifest>, EtlError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(EtlError::io("read", path, 0, e)),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|e| EtlError::Usage(format!("{} is not a manifest: {e}", path.display())))
}

fn check_plan(path: &Path, manifest: Manifest, plan: &Plan) -> Result<Manifest, EtlError> {
    let old = &manifest.plan;
    let what = match () {
        _ if manifest.version != VERSION => "another version of the program",
        _ if !plan.is_recognisable() => {
            return Err(EtlError::Usage(format!(
                "{} belongs to an unfinished run, and standard input cannot be recognised again: \
                 remove {0}, then run from the beginning",
                path.display()
            )));
        }
        _ if old.sources != plan.sources => "another list of input files, or they have changed",
        _ if old.exclude_sha256 != plan.exclude_sha256 => "another list of excluded hashtags",
        _ if old.partitions != plan.partitions => "another number of partitions",
        _ if old != plan => "other options",
        _ => return Ok(manifest),
    };
    Err(EtlError::Usage(format!(
        "{} belongs to an unfinished run with {what}: repeat that command to resume it, or remove the directory",
        path.display()
    )))
}

/// A directory without a manifest must be empty: other files in it are not ours.
fn refuse_foreign_files(path: &Path) -> Result<(), EtlError> {
    let failed = |e| EtlError::io("list", path, 0, e);
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if name != LOCK && name != "manifest.new" {
            return Err(EtlError::Usage(format!(
                "{} holds other files ({}): choose a new or empty work directory",
                path.display(),
                name.display()
            )));
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), EtlError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(EtlError::io("remove", path, 0, e))
        }
        _ => Ok(()),
    }
}

fn sync_directory(path: &Path) -> Result<(), EtlError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|e| EtlError::io("sync", path, 0, e))
}
