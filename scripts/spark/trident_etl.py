#!/usr/bin/env python3
"""Trident's ETL on Spark: tweets to the store that `trident etl` makes of them, byte for byte.

    spark-submit --files trident,popular.txt trident_etl.py \\
        --input s3a://bucket/tweets/ --exclude popular.txt --partitions 64 --output store

Spark reads the objects and moves blocks between the stages; `trident` does the work of a stage, as a child of a task.
Only DataFrames, one job. Nothing is counted outside the shuffle, so tasks may fail, be repeated or run twice.

The values come to the driver, or through --values: a directory that driver and executors share, or an object store. Then
`trident etl build --values` makes the store. docs/etl-spark.md tells more. The file must be that of the program:

    trident documents spark > trident_etl.py
"""
import argparse
import contextlib
import itertools
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import uuid
import zipimport
import zlib

import pyarrow as pa

MAGIC = b"TRB1"
HEADER, HEADER_BYTES = "<4sIIII", 20  # magic, kind, bucket, length, CRC-32 of all but itself and the magic
RECORDS, TAGS, LISTS, REPORT, END = range(5)
# Files for `build`, of values and of what later updates need: pieces on the way to the driver, or the name of one in --values.
FILES = {"values": (100, 102), "history": (101, 103)}
# The key decides the partition.
SCHEMA = pa.schema([("kind", pa.int32()), ("key", pa.int32()), ("block", pa.binary())])
COLUMNS = "kind int, key int, block binary"
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


def rows(options, frames):
    """Batches of some MiB of frames: of kind, bucket and bytes."""
    held, size = [], 0
    for kind, bucket, block in frames:
        held.append((kind, options.keys[bucket], block))
        size += len(block)
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


def local_disk():
    """A directory of Spark's for this application: on the disks for that, and deleted with it even if a task was killed."""
    for name in ("SPARK_EXECUTOR_DIRS", "LOCAL_DIRS", "SPARK_LOCAL_DIRS"):
        places = [place for place in re.split("[:,]", os.environ.get(name, "")) if os.path.isdir(place)]
        if places:
            return random.choice(places)
    return tempfile.gettempdir()


def sort_arguments(options, place):
    return ["--work-dir", place, "--memory-bytes", options.memory_bytes]


def task(run):
    """PySpark has Python look at its zip files again before each task, which takes a tenth of a second of the processor and
    more than a small task does. A zip file that Python has forgotten costs nothing, and is found again if it is needed."""
    def forgetful(batches):
        try:
            yield from run(batches)
        finally:
            for path, finder in list(sys.path_importer_cache.items()):
                if isinstance(finder, zipimport.zipimporter):
                    sys.path_importer_cache.pop(path, None)
    return forgetful


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
                    yield from rows(options, Stage(options.trident, arguments, pieces(contents[index].as_buffer())).frames())
                except Failed as failed:
                    raise Failed(f"{name}: {failed}") from None
    return task(run)


def reducer(options, first):
    def run(batches):
        batches = peeked(batches)
        if batches is None:
            return
        arguments = ["reduce", "--sort", "--blocks", str(options.partitions), "--top", str(options.top),
                     *sort_arguments(options, local_disk())]
        if first and options.exclude:
            arguments += ["--exclude", local(options.exclude)]
        if options.keep_history:
            arguments.append("--keep-history")
        yield from rows(options, Stage(options.trident, arguments, blocks(batches)).frames())
    return task(run)


def valuer(options):
    def run(batches):
        batches = peeked(batches)
        if batches is None:
            return
        first = next(batches)
        part, = struct.unpack_from("<I", first.column("block")[0].as_buffer(), 8)
        # Attempts of one task must not meet. What is written has its name at once, and is used if the attempt's rows name it:
        # of each task the rows of one attempt arrive. A rename would be a copy in an object store.
        attempt = f"{part:05}.{uuid.uuid4().hex}"
        with tempfile.TemporaryDirectory(prefix="trident-values-", dir=local_disk()) as scratch:
            path = {name: os.path.join(scratch, name) for name in FILES}
            arguments = ["values", "--output", path["values"], *sort_arguments(options, scratch)]
            if options.keep_history:
                arguments += ["--history", path["history"]]
            report = list(Stage(options.trident, arguments, blocks(itertools.chain([first], batches))).frames())
            for name, (piece, named) in FILES.items():
                if not os.path.exists(path[name]):
                    continue
                if options.values:
                    write_once(path[name], options.values, f"{attempt}.{name}")
                    yield from rows(options, [(named, part, struct.pack("<I", part) + f"{attempt}.{name}".encode())])
                else:
                    yield from rows(options, file_pieces(path[name], piece, part))
        yield from rows(options, report)
    return task(run)


def file_pieces(path, kind, part):
    """Each begins with its partition and its place: they may arrive in any order."""
    with open(path, "rb") as file:
        while True:
            place = struct.pack("<IQ", part, file.tell())
            piece = file.read(PIECE_BYTES)
            if not piece:
                return
            yield kind, part, place + piece


def object_store(url):
    """The file system of a URL and the path in it; credentials and region are those of the environment."""
    from pyarrow import fs
    scheme, rest = url.split("://", 1)
    return fs.FileSystem.from_uri(f"{'s3' if scheme == 's3a' else scheme}://{rest}")


def below(directory, name):
    """A name in a directory, which may be a URL with options after a question mark."""
    path, mark, more = directory.partition("?") if "://" in directory else (directory, "", "")
    return f"{path.rstrip('/')}/{name}{mark}{more}"


def write_once(source, directory, name):
    """Copies a file to its final name: one PUT, or one upload in parts that appears when it is complete."""
    if "://" not in directory:
        shutil.copyfile(source, os.path.join(directory, name))
        return
    store, path = object_store(below(directory, name))
    with open(source, "rb") as file, store.open_output_stream(path) as out:
        shutil.copyfileobj(file, out, PIECE_BYTES)


def fetch(directory, name, target):
    """A file that a task has named, for `build`."""
    if "://" not in directory:
        os.symlink(os.path.abspath(os.path.join(directory, name)), target)
        return
    store, path = object_store(below(directory, name))
    with store.open_input_stream(path) as file, open(target, "wb") as out:
        shutil.copyfileobj(file, out, PIECE_BYTES)


class Shared:
    """A directory in --values for this job alone. What attempts have left that were not needed goes with it."""

    def __init__(self, values):
        self.url = below(values, f".trident-values-{uuid.uuid4().hex}")
        try:
            if "://" not in values:
                os.mkdir(self.url)
                os.chmod(self.url, 0o777)
            else:
                store, path = object_store(self.url)
                store.get_file_info(path)  # asks for credentials and the bucket before the work and not after it
        except (OSError, ValueError) as error:  # pyarrow.ArrowInvalid is one of the latter
            raise Failed(f"cannot use --values {values}: {error}; name a directory that exists, or a bucket that may be read "
                         "and written") from None

    def remove(self):
        if "://" not in self.url:
            shutil.rmtree(self.url, ignore_errors=True)
            return
        store, path = object_store(self.url)
        with contextlib.suppress(FileNotFoundError):
            store.delete_dir(path)


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
    """For each partition a number that Spark sends there: a power of two is divided the same signed or not. With an engine
    that has another hash some partitions get several buckets and some none; the result is the same."""
    found, number = {}, 0
    while len(found) < partitions:
        found.setdefault(murmur3(number) % partitions, number)
        number += 1
    return [found[part] for part in range(partitions)]


def shuffled(blocks_of_a_stage, options):
    return blocks_of_a_stage.repartition(options.partitions, "key")


def values_job(spark, options):
    from pyspark.sql import functions as F
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "16")
    source = spark.read.format("binaryFile").option("recursiveFileLookup", "true").option("pathGlobFilter", options.glob)
    objects = source.load(options.input)
    if options.check_sizes:
        found = objects.agg(F.max(F.struct("length", "path")).alias("largest"), F.count("path").alias("rows"),
                            F.countDistinct("path").alias("paths")).first()
        if found.rows != found.paths:
            raise Failed(f"{found.rows:,} rows are read of {found.paths:,} objects: name each once in --input; Sail needs "
                         "SAIL_EXECUTION__DEFAULT_PARALLELISM=1")
        length, path = found.largest or (0, "")
        if length > OBJECT_BYTES_MAX:
            raise Failed(f"{path} has {length:,} bytes; Spark's binaryFile reads 2 GiB at most: split it "
                         "(split --line-bytes=1G), or run trident etl on one machine")
    mapped = objects.select("path", "content").mapInArrow(mapper(options), COLUMNS)
    events = shuffled(mapped, options).mapInArrow(reducer(options, True), COLUMNS)
    pairs = shuffled(events, options).mapInArrow(reducer(options, False), COLUMNS)
    values = shuffled(pairs, options).mapInArrow(valuer(options), COLUMNS)
    # An iterator runs the tasks of the last stage one after another: let that be one which only reads.
    return values if options.values else shuffled(values, options)


def collect(job, options, directory):
    """Runs the job; the files that came to the driver in pieces or by name, and report.blocks."""
    pieces = {piece: name for name, (piece, _) in FILES.items()}
    named = {by_name: name for name, (_, by_name) in FILES.items()}
    count = 0
    with open(os.path.join(directory, "report.blocks"), "wb") as report:
        for row in job.collect() if options.values else job.toLocalIterator(prefetchPartitions=True):
            if row.kind in pieces:
                part, place = struct.unpack_from("<IQ", row.block)
                path = os.path.join(directory, f"{part:05}.{pieces[row.kind]}")
                with open(path, "r+b" if os.path.exists(path) else "wb") as file:
                    file.seek(place)
                    file.write(memoryview(row.block)[struct.calcsize("<IQ"):])
            elif row.kind in named:
                part, name = struct.unpack_from("<I", row.block)[0], bytes(row.block)[4:].decode()
                fetch(options.values, name, os.path.join(directory, f"{part:05}.{named[row.kind]}"))
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
    parser.add_argument("--values", help="for values on their way: a directory that driver and executors share, or s3://, gs://, "
                        "abfss://, hdfs:// by way of PyArrow; default: through the driver")
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
    options.keys = keys(options.partitions)
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
    directory = tempfile.mkdtemp(prefix=".trident-values-", dir=beside)
    shared = None
    try:
        check_version(options)
        if options.values:
            shared = Shared(options.values)
            options.values = shared.url
        collect(values_job(spark, options), options, directory)
        return build(options, directory)
    except Failed as failed:
        print(f"trident_etl: {failed}", file=sys.stderr)
        return 1
    finally:
        spark.stop()
        shutil.rmtree(directory, ignore_errors=True)
        if shared:
            shared.remove()


if __name__ == "__main__":
    sys.exit(main())
