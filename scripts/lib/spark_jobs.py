"""One Spark application that runs a job script again and again: what scripts/test-spark starts its jobs in.

    spark_jobs.py trident_etl.py    # with Spark's options in PYSPARK_SUBMIT_ARGS

A line on standard input is a JSON list of the job's arguments; when the job has ended its exit code follows on standard output.
Starting Spark takes longer than a small job. Nothing of the job differs, but its session goes on.
"""
import importlib.util
import json
import os
import sys
import traceback


def main():
    path = sys.argv[1]
    # What jobs and their children print goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    spec = importlib.util.spec_from_file_location("trident_etl", path)
    sys.dont_write_bytecode = True
    job = importlib.util.module_from_spec(spec)
    # Spark sends the functions of a main program by value, and those of a module by name.
    from pyspark import cloudpickle
    from pyspark.sql import SparkSession
    sys.modules["trident_etl"] = job
    spec.loader.exec_module(job)
    cloudpickle.register_pickle_by_value(job)
    session = SparkSession.builder.appName("jobs").getOrCreate()
    stop, SparkSession.stop = SparkSession.stop, lambda _: None
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        sys.argv = [path, *json.loads(line)]
        try:
            code = job.main()
        except SystemExit as exit_:
            code = exit_.code
        except Exception:
            traceback.print_exc()
            code = 1
        sys.stderr.flush()
        print(code, file=answers, flush=True)
    stop(session)


if __name__ == "__main__":
    main()
