//! Limits of the machine, read from `/proc` so that no system call wrapper is needed.

use std::fs;

/// Limits of the machine and of this process. `None` = not known and not checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemLimits {
    /// Hard limit of open files of this process; the soft limit can be raised up to it.
    pub files_max: Option<u64>,
    /// Most memory mappings of one process.
    pub mappings_max: Option<u64>,
}

impl SystemLimits {
    /// The limits of this process.
    pub fn present() -> Self {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let mappings = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
        Self {
            files_max: files_max(&limits),
            mappings_max: mappings.trim().parse().ok(),
        }
    }
}

/// The hard limit in the line `Max open files   <soft>   <hard>   files`.
fn files_max(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hard_limit_is_the_second_number() {
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax open files   1024   524288   files\n";
        assert_eq!(files_max(text), Some(524_288));
        assert_eq!(files_max("Max open files 1024 unlimited files"), None);
        assert_eq!(files_max(""), None);
    }

    #[test]
    fn this_machine_tells_its_limits() {
        let system = SystemLimits::present();
        assert!(system.files_max.is_none_or(|files| files >= 3));
        assert!(system.mappings_max.is_none_or(|mappings| mappings > 0));
    }
}
