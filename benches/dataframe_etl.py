"""The work of scripts/spark/trident_etl.py as a DataFrame job of the usual kind: what scripts/spark-figures compares it with.

    spark-submit dataframe_etl.py INPUT EXCLUDED OUTPUT

The filter, the deduplication and the join of docs/protocol/twitter.md as far as columns say them easily: a row of Parquet for
each contact of a user. It is no second implementation: of tweets with the same id it keeps any, it reads only identifiers that
are numbers or digits, knows no deletions, mends no strings and writes no values that a server could read.
"""
import sys

from pyspark.sql import SparkSession, functions as F

LANGUAGES = ("ar", "en", "fr", "in", "pt", "es", "tr", "ja")
USER = "struct<id:bigint,id_str:string,screen_name:string,description:string>"
SCHEMA = (f"id bigint, id_str string, created_at string, text string, lang string, in_reply_to_user_id bigint, "
          f"in_reply_to_user_id_str string, user {USER}, retweeted_status struct<user:{USER}>, "
          "entities struct<hashtags:array<struct<text:string>>>")


def number(path):
    return F.coalesce(F.col(f"{path}_str").cast("bigint"), F.col(path))


def kept_tweets(spark, source):
    lines = spark.read.schema(SCHEMA).json(source)
    tweets = lines.select(
        number("id").alias("id"), F.to_timestamp("created_at", "EEE MMM dd HH:mm:ss Z yyyy").alias("time"), "text", "lang",
        number("user.id").alias("user"), F.col("user.screen_name").alias("name"), F.col("user.description").alias("about"),
        number("in_reply_to_user_id").alias("reply"), number("retweeted_status.user.id").alias("retweet"),
        F.col("retweeted_status.user.screen_name").alias("retweet_name"),
        F.col("retweeted_status.user.description").alias("retweet_about"), F.col("entities.hashtags.text").alias("tags"))
    complete = "id is not null and user is not null and time is not null and text <> '' and size(tags) > 0"
    return tweets.where(complete).where(F.col("lang").isin(*LANGUAGES)).dropDuplicates(["id"])


def profiles(tweets):
    senders = tweets.select("user", "time", "id", F.lit(1).alias("sent"), "name", "about")
    others = tweets.where("retweet is not null").select("retweet", "time", "id", F.lit(0), "retweet_name", "retweet_about")
    latest = F.max(F.struct("time", "id", "sent", "name", "about")).alias("latest")
    return senders.union(others).groupBy("user").agg(latest).select(F.col("user").alias("other"), "latest.name", "latest.about")


def contacts(tweets):
    """A row for each ordered pair of users, with their tweets."""
    rest = ("time", "id", "text", "tags")
    replies = tweets.where("reply is not null").select("user", F.col("reply").alias("other"), F.lit(1).alias("type"), *rest)
    retweets = tweets.where("retweet is not null").select("user", "retweet", F.lit(2), *rest)
    one_way = replies.union(retweets)
    both = one_way.union(one_way.where("user <> other").select("other", "user", "type", *rest))
    return both.groupBy("user", "other").agg(
        F.sum(F.expr("int(type = 1)")).alias("replies"), F.sum(F.expr("int(type = 2)")).alias("retweets"),
        F.collect_list(F.struct("type", *rest)).alias("tweets"))


def shared_tags(pairs, tweets, excluded):
    """How often two users have used the same hashtags."""
    tags = tweets.select("user", F.explode("tags").alias("tag")).select("user", F.lower("tag").alias("tag"))
    tags = tags.where(~F.col("tag").isin(excluded)).groupBy("user", "tag").count()
    others = tags.select(F.col("user").alias("other"), "tag", F.col("count").alias("others"))
    same = pairs.where("user < other").select("user", "other").join(tags, "user").join(others, ["other", "tag"])
    same = same.groupBy("user", "other").agg(F.sum(F.expr("count + others")).alias("same"))
    return same.union(same.select("other", "user", "same"))


def main():
    source, excluded, output = sys.argv[1:]
    spark = SparkSession.builder.appName("dataframe-etl").getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.conf.set("spark.sql.legacy.timeParserPolicy", "LEGACY")
    spark.conf.set("spark.sql.ansi.enabled", "false")
    with open(excluded) as lines:
        excluded = [line.strip().lower() for line in lines]
    tweets = kept_tweets(spark, source).cache()
    pairs = contacts(tweets)
    rows = pairs.join(shared_tags(pairs, tweets, excluded), ["user", "other"], "left").join(profiles(tweets), "other", "left")
    rows.repartition(8, "user").sortWithinPartitions("user").write.parquet(output)
    spark.stop()


if __name__ == "__main__":
    main()
