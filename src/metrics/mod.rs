//! Per-worker counters, summed when read.

