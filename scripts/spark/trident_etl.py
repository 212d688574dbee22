#!/usr/bin/env python3
"""Trident's ETL on Spark: tweets to the store that `trident etl` makes of them, byte for byte.

    spark-submit --files trident,popular.txt trident_etl.py \\
        --input s3a://bucket/tweets/ --exclude popular.txt --partitions 64 --output store

Spark reads the objects and moves blocks between the stages; `trident` does the work of a stage, as a child of a task.
Only DataFrames, one job. Nothing is counted outside the shuffle, so tasks may fail, be repeated or run twice.

The values come to the driver, or are written into --values, a directory that driver and executors share. Then
`trident etl build --values` makes the store. docs/etl-spark.md tells more. The file must be that of the program:

    trident documents spark > trident_etl.py
"""
import argparse
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import zlib

import pyarrow as pa

MAGIC = b"TRB1"
HEADER, HEADER_BYTES = "<4sIIII", 20  # magic, kind, bucket, length, CRC-32 of all but itself and the magic
RECORDS, TAGS, LISTS, REPORT, END = range(5)
# Pieces of files on the way to the driver: of values, and of what later updates need.
PIECES = {100: "values", 101: "history"}
SCHEMA = pa.schema([("kind", pa.int32()), ("bucket", pa.int32()), ("block", pa.binary())])
COLUMNS = "kind int, bucket int, block binary"
PIECE_BYTES = 4 << 20
# binaryFile reads an object into one row, and a row ends at 2 GiB.
OBJECT_BYTES_MAX = (2 << 30) - (1 << 20)


class Failed(Exception):
    """A stage has failed; the job must."""


def local(name, need_execute=False):
    """A file that came with --files, or a path that exists everywhere. Some platforms drop the x bit of files."""
    if os.path.isabs(name):
        return name
    from pyspark import SparkFiles
    path = SparkFiles.get(os.path.basename(name))
    if not os.path.exists(path) and os.path.exists(name):
        return os.path.abspath(name)
    if need_execute and not os.access(path, os.X_OK):
        copy = f"{path}.{os.getpid()}"
        shutil.copy(path, copy)
        os.chmod(copy, 0o755)
        os.rename(copy, path)
    return path


def frame(kind, bucket, block):
    head = struct.pack("<III", kind, bucket, len(block))
    return MAGIC + head + struct.pack("<I", zlib.crc32(block, zlib.crc32(head))) + block


class Stage:
    """A child: fed by a thread, read by the task. Its exit code is the task's."""

    def __init__(self, trident, arguments, feed):
        self.name = "etl " + arguments[0]
        self.stderr = tempfile.TemporaryFile()
        self.child = subprocess.Popen([local(trident, True), "etl", *arguments], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=self.stderr)
        self.failure = None
        self.feeder = threading.Thread(target=self.write, args=(feed,), daemon=True)
        self.feeder.start()

    def write(self, feed):
        try:
            for piece in feed:
                self.child.stdin.write(piece)
            self.child.stdin.close()
        except BrokenPipeError:
            pass  # the child has ended; its exit code tells
        except BaseException as error:
            # The child must not take a cut input for a whole one.
            self.failure = error
            self.child.kill()

    def frames(self):
        """The frames as they are, header included, after a check that the stream is whole."""
        out, seen = self.child.stdout, 0
        try:
            while True:
                head = out.read(HEADER_BYTES)
                if len(head) < HEADER_BYTES:
                    self.end()
                    raise Failed(f"{self.name}: its output ends without the closing frame")
                magic, kind, bucket, length, _ = struct.unpack(HEADER, head)
                if magic != MAGIC:
                    raise Failed(f"{self.name} is of another version than this job: trident documents spark")
                block = out.read(length)
                if len(block) < length:
                    self.end()
                    raise Failed(f"{self.name}: its output was cut")
                if kind == END:
                    break
                seen += 1
                yield kind, bucket, head + block
            if block != struct.pack("<Q", seen):
                raise Failed(f"{self.name}: frames are missing")
            self.end()
        finally:
            if self.child.poll() is None:
                self.child.kill()
            self.child.wait()

    def end(self):
        code = self.child.wait()
        self.feeder.join()
        if self.failure:
            raise self.failure
        if code:
            self.stderr.seek(0)
            text = self.stderr.read()[-4000:].decode(errors="replace").strip()
            raise Failed(f"{self.name} ended with {code}: {text}")


def rows(frames):
    """Batches of some MiB of frames."""
    held, size = [], 0
    for one in frames:
        held.append(one)
        size += len(one[2])
        if size >= PIECE_BYTES:
            yield batch(held)
            held, size = [], 0
    if held:
        yield batch(held)


def batch(frames):
    return pa.RecordBatch.from_arrays([pa.array(column, field.type) for column, field in zip(zip(*frames), SCHEMA)],
                                      schema=SCHEMA)


def blocks(batches):
    """The frames of a partition and the closing one."""
    count = 0
    for one in batches:
        column = one.column("block")
        for index in range(len(column)):
            count += 1
            yield column[index].as_buffer()
    yield frame(END, 0, struct.pack("<Q", count))


def peeked(batches):
    """None if there is nothing: an empty partition starts no child."""
    batches = iter(batches)
    for first in batches:
        if first.num_rows:
            def again():
                yield first
                yield from batches
            return again()
    return None


def sort_arguments(options):
    return ["--work-dir", tempfile.gettempdir(), "--memory-bytes", options.memory_bytes]


def mapper(options):
    def pieces(content):
        view = memoryview(content)
        for start in range(0, len(view), PIECE_BYTES):
            yield view[start:start + PIECE_BYTES]

    def run(batches):
        for one in batches:
            paths, contents = one.column("path"), one.column("content")
            for index in range(one.num_rows):
                name = paths[index].as_py().removeprefix("file:")
                arguments = ["map", "--workers", "1", "--blocks", str(options.partitions), "--name", name,
                             "--compat", options.compat]
                if options.skip_bad_files:
                    arguments.append("--skip-bad-files")
                try:
                    yield from rows(Stage(options.trident, arguments, pieces(contents[index].as_buffer())).frames())
                except Failed as failed:
                    raise Failed(f"{name}: {failed}") from None
    return run


def reducer(options, first):
    def run(batches):
        batches = peeked(batches)
        if batches is None:
            return
        arguments = ["reduce", "--sort", "--blocks", str(options.partitions), "--top", str(options.top),
                     *sort_arguments(options)]
        if first and options.exclude:
            arguments += ["--exclude", local(options.exclude)]
        if options.keep_history:
            arguments.append("--keep-history")
        yield from rows(Stage(options.trident, arguments, blocks(batches)).frames())
    return run


def valuer(options):
    def run(batches):
        from pyspark import TaskContext
        batches = peeked(batches)
        if batches is None:
            return
        context = TaskContext.get()
        part = context.partitionId()
        # Attempts of one task must not meet; the rename makes one of them the file.
        attempt = f".{part:05}.{context.taskAttemptId()}.{os.getpid()}"
        directory = options.values or tempfile.gettempdir()
        files = {kind: os.path.join(directory, f"{attempt}.{name}") for kind, name in PIECES.items()}
        values, history = files.values()
        arguments = ["values", "--output", values, *sort_arguments(options)]
        if options.keep_history:
            arguments += ["--history", history]
        else:
            files.popitem()
        try:
            stage = Stage(options.trident, arguments, blocks(batches))
            report = list(stage.frames())
            for kind, file in files.items():
                if options.values:
                    os.rename(file, os.path.join(directory, f"{part:05}.{PIECES[kind]}"))
                else:
                    yield from rows(file_pieces(file, kind, part))
            yield from rows(report)
        finally:
            for name in (values, history, values + ".partial", history + ".partial"):
                if os.path.exists(name):
                    os.unlink(name)
    return run


def file_pieces(path, kind, part):
    with open(path, "rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield kind, part, piece


def murmur3(number):
    """Spark's hash of an int column."""
    def rotated(x, by):
        return (x << by | x >> 32 - by) & 0xFFFFFFFF
    k = rotated(number * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF
    h = (rotated(42 ^ k, 13) * 5 + 0xE6546B64) & 0xFFFFFFFF
    h ^= 4
    h = (h ^ h >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return h ^ h >> 16


def keys(partitions):
    """For each partition a number that Spark sends there: a power of two is divided the same signed or not."""
    found, number = {}, 0
    while len(found) < partitions:
        found.setdefault(murmur3(number) % partitions, number)
        number += 1
    return [found[part] for part in range(partitions)]


def shuffled(frame_of_blocks, options):
    from pyspark.sql import functions as F
    table = F.array(*[F.lit(key) for key in keys(options.partitions)])
    keyed = frame_of_blocks.withColumn("key", table[F.col("bucket")].cast("int"))
    return keyed.repartition(options.partitions, "key").select("kind", "bucket", "block")


def values_job(spark, options):
    from pyspark.sql import functions as F
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "16")
    source = spark.read.format("binaryFile").option("recursiveFileLookup", "true").option("pathGlobFilter", options.glob)
    objects = source.load(options.input)
    if options.check_sizes:
        length, path = objects.agg(F.max(F.struct("length", "path")).alias("largest")).first().largest or (0, "")
        if length > OBJECT_BYTES_MAX:
            raise Failed(f"{path} has {length:,} bytes; Spark's binaryFile reads 2 GiB at most: split it "
                         "(split --line-bytes=1G), or run trident etl on one machine")
    mapped = objects.select("path", "content").mapInArrow(mapper(options), COLUMNS)
    events = shuffled(mapped, options).mapInArrow(reducer(options, True), COLUMNS)
    pairs = shuffled(events, options).mapInArrow(reducer(options, False), COLUMNS)
    return shuffled(pairs, options).mapInArrow(valuer(options), COLUMNS)


def collect(job, directory):
    """Runs the job; the files that came to the driver in pieces, and report.blocks."""
    count = 0
    with open(os.path.join(directory, "report.blocks"), "wb") as report:
        for row in job.toLocalIterator():
            if row.kind in PIECES:
                with open(os.path.join(directory, f"{row.bucket:05}.{PIECES[row.kind]}"), "ab") as file:
                    file.write(row.block)
            else:
                count += 1
                report.write(row.block)
        report.write(frame(END, 0, struct.pack("<Q", count)))


def check_version(options):
    """This file and the program must be of one version."""
    made = subprocess.run([local(options.trident, True), "documents", "spark"], capture_output=True, check=True).stdout
    own = globals().get("__file__")  # a notebook has none
    if own and os.path.exists(own) and open(own, "rb").read() != made:
        raise Failed("this job is not that of the program: trident documents spark > trident_etl.py")


def build(options, directory):
    command = [local(options.trident, True), "etl", "build", "--values", directory, "--output", options.output]
    command += ["--top", str(options.top), "--top-file", options.top_file] if options.top_file else []
    if options.keep_history and options.exclude:
        command += ["--exclude", local(options.exclude)]
    for flag in ("replace", "allow_empty", "keep_history"):
        command += [f"--{flag.replace('_', '-')}"] if getattr(options, flag) else []
    for flag in ("report_json", "histogram_svg", "histogram_csv"):
        command += [f"--{flag.replace('_', '-')}", getattr(options, flag)] if getattr(options, flag) else []
    return subprocess.run(command).returncode


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", nargs="+", required=True, help="objects or directories of them, such as s3a://…")
    parser.add_argument("--glob", default="*", help="names that are read, such as *.gz")
    parser.add_argument("--exclude", help="hashtags that do not count; by --files, or a path on every machine")
    parser.add_argument("--trident", default="trident", help="the program; by --files, or a path on every machine")
    parser.add_argument("--partitions", type=int, default=64, help="a power of two; one for each GB of raw tweets")
    parser.add_argument("--memory-bytes", default="256M", help="of each task, for sorting")
    parser.add_argument("--values", help="directory that driver and executors share; default: through the driver")
    parser.add_argument("--output", required=True, help="the store, on the driver")
    parser.add_argument("--replace", action="store_true")
    parser.add_argument("--allow-empty", action="store_true")
    parser.add_argument("--skip-bad-files", action="store_true")
    parser.add_argument("--keep-history", action="store_true", help="keep in the store what POST /twitter/tweets needs")
    parser.add_argument("--compat", default="replace", choices=["replace", "spark"])
    parser.add_argument("--top", type=int, default=700)
    for name in ("--top-file", "--report-json", "--histogram-svg", "--histogram-csv"):
        parser.add_argument(name)
    parser.add_argument("--no-check-sizes", dest="check_sizes", action="store_false", help="start without looking for objects above 2 GiB")
    options = parser.parse_args()
    if options.partitions < 1 or options.partitions & (options.partitions - 1) or options.partitions > 512:
        parser.error("--partitions: a power of two up to 512")
    if options.keep_history and options.compat == "spark":
        parser.error("--compat spark and --keep-history exclude each other: later updates follow replace")
    if os.path.exists(options.output) and not options.replace:
        parser.error(f"{options.output} exists: --replace, or another --output")
    return options


def main():
    options = arguments()
    from pyspark.sql import SparkSession
    spark = SparkSession.builder.appName("trident-etl").getOrCreate()
    beside = os.path.dirname(os.path.abspath(options.output))
    directory = tempfile.mkdtemp(prefix=".trident-values-", dir=options.values or beside)
    try:
        check_version(options)
        if options.values:
            os.chmod(directory, 0o777)
            options.values = directory
        collect(values_job(spark, options), directory)
        return build(options, directory)
    except Failed as failed:
        print(f"trident_etl: {failed}", file=sys.stderr)
        return 1
    finally:
        spark.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
