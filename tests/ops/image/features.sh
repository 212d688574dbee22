# shellcheck shell=bash disable=SC2154
# Every feature of the server once, under the unit's filter of system calls and its namespaces. Follows prove.sh on its
# disk and uses its functions; boot.py gives $no_filter, and $endpoint and $content: an S3 and what is published in it.

admin=http://127.0.0.1:9090 public=http://127.0.0.1:8080 token=0123456789abcdef0123456789abcdef
store=/var/lib/trident/store
# A busy machine that emulates another takes minutes to write a flame graph.
control() { curl -sS --max-time 600 -X POST -H "Authorization: Bearer $token" "$admin/admin/$1"; }
metric() { curl -s "$admin/metrics" | awk -v name="$1" 'index($0, name) == 1 { print $NF }'; }
store_line() { curl -s "$admin/metrics" | sed -n 's/^trident_store_info{path="\([^"]*\)",checksum="\([^"]*\)".*/\1 \2/p'; }
status_of() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$(systemctl show -P MainPID trident)/status"; }
settings() { # lines: the server with these, and drains that wait for nobody
    printf '%s\n' TRIDENT_DRAIN_ACCEPT_MS=0 TRIDENT_DRAIN_QUIET_MS=0 "TRIDENT_ADMIN_TOKEN=$token" "$@" >/etc/trident/trident.env
    systemctl reset-failed trident.service trident.socket
    systemctl restart trident || say 'FAULT the server does not start'
}
make_store() { # seed, directory
    trident gen tweets --lines 3000 --seed "$1" >"/tmp/tweets$1.jsonl"
    trident etl --input "/tmp/tweets$1.jsonl" --output "$2" --keep-history >/dev/null 2>&1 || say "FAULT no store $2"
    chown -R trident:trident "$2"
}
first_user() { trident store dump "$1" | head -n 1 | grep -o '"user_id":[0-9]*' | head -n 1 | cut -d : -f 2; }
twitter() { curl -s --max-time 300 "$public/twitter?user_id=$1&type=both&phrase=hello&hashtag=cmu" | tail -n +2; }
is_there() { [[ -n $1 && $1 != INVALID ]] && echo yes; }

rm -rf "$store"
make_store 1 "$store"
make_store 2 /var/lib/trident/store.new
user=$(first_user "$store") newcomer=$(first_user /var/lib/trident/store.new)
# The first restart would drain for a minute.
systemctl kill -s KILL --kill-whom=main trident
settings "TRIDENT_TWITTER_STORE=$store" TRIDENT_TWITTER_INGEST=admin TRIDENT_PROFILE_ON=SIGUSR2 TRIDENT_PROFILE_SECONDS=2
pid=$(systemctl show -P MainPID trident)
before=$(twitter "$user")
check 'store: a user is found' yes "$(is_there "$before")"

# Samples of processor time need something that uses it.
trident load --target "$public" --mix blockchain=1 --duration 1200s --warmup 0s --connections 4 --workers 1 --quiet >/dev/null 2>&1 &
loader=$!
control 'profile?seconds=5' >/tmp/flame.svg
check 'flame graph on request names the program' yes "$(grep -q 'trident::' /tmp/flame.svg && grep -q '</svg>' /tmp/flame.svg && echo yes)"
written() { find "/proc/$pid/root/tmp" -name "trident-$pid-*.svg" -size +1k | wc -l; }
kill -USR2 "$pid"
eventually 'flame graph on a signal is written' 1 written
kill "$loader"

control reload >/dev/null
eventually 'reload by POST' 1 metric 'trident_store_reloads_total{outcome="unchanged"}'
systemctl reload trident
eventually 'reload by SIGHUP' 2 metric 'trident_store_reloads_total{outcome="unchanged"}'

sed -n 1,60p /tmp/tweets2.jsonl >/tmp/few.jsonl
told=$(curl -sS --max-time 600 --data-binary @/tmp/few.jsonl "$admin/twitter/tweets")
check 'ingest takes tweets' yes "$([[ $told =~ \"tweets_new\":[1-9] ]] && echo yes)"
told=$(curl -sS --max-time 600 --data-binary @/tmp/few.jsonl "$admin/twitter/tweets")
check 'ingest knows them again' yes "$([[ $told == *'"tweets_new":0'* ]] && echo yes)"

old=$(store_line)
mv "$store" /var/lib/trident/store.old
mv /var/lib/trident/store.new "$store"
systemctl reload trident
eventually 'store swap' 1 metric 'trident_store_reloads_total{outcome="replaced"}'
check 'store swap: other data' yes "$([[ $(store_line) != "$old" && -n $old ]] && echo yes)"
check 'store swap: a user of the new store' yes "$(is_there "$(twitter "$newcomer")")"
check 'all of it by the same process' "$pid" "$(systemctl show -P MainPID trident)"
check 'requests that panicked' 0 "$(metric trident_handler_panics_total)"

# A store that scripts/publish-store put into S3: the unit fetches, verifies, swaps and asks, hardened as it is. Only its
# bounds are longer: on a busy processor an emulated machine takes more than a minute to start aws.
stores=/var/lib/trident-stores old=$(printf '0%.0s' $(seq 64))
mkdir -p "$stores" /run/trident
make_store 1 "$stores/$old"
ln -s "$old" "$stores/current"
settings "TRIDENT_TWITTER_STORE=$stores/current"
pid=$(systemctl show -P MainPID trident)
printf '%s\n' FLEET=image REGION=us-east-1 INSTANCE=i-image STORE_URL=s3://trident-image/twitter "AWS_ENDPOINT_URL=$endpoint" \
    AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x STALL_SECONDS_MAX=900 RELOAD_SECONDS_MAX=900 >/run/trident/instance.env
systemctl start trident-store.service
check 'published store: the unit' success "$(systemctl show -P Result trident-store.service)"
check 'published store: is served' "$stores/$content $content" "$(store_line | cut -d ' ' -f 1) $(readlink "$stores/current")"
[[ $(systemctl show -P Result trident-store.service) == success ]] ||
    journalctl -u trident-store -o cat --no-pager | tail -n 5 | while IFS= read -r line; do say "note $line"; done
check 'published store: its queries were asked' yes \
    "$(journalctl -u trident-store -o cat | grep -q 'store: 100 answers are right' && echo yes)"
check 'published store: by the same process' "$pid" "$(systemctl show -P MainPID trident)"
rm /run/trident/instance.env
settings "TRIDENT_TWITTER_STORE=$store"

# A database over TCP and TLS, with the drop-in that gives the unit its network.
wanted=$(twitter "$newcomer")
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=database -keyout /var/tmp/db.key \
    -out /etc/trident/database.pem -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE 2>/tmp/openssl.log ||
    say "FAULT no certificate: $(tail -n 2 /tmp/openssl.log | tr '\n' ' ')"
# scripts/test-image has made its directory.
mv /srv/database /var/tmp/db || say 'FAULT no database was made'
mariadbd --no-defaults --user=root --datadir=/var/tmp/db --socket=/var/tmp/db/socket --bind-address=127.0.0.1 --port=3306 \
    --require-secure-transport --ssl-cert=/etc/trident/database.pem --ssl-key=/var/tmp/db.key >/var/tmp/db.log 2>&1 &
database=$!
sql() { mariadb --no-defaults --socket=/var/tmp/db/socket -e "$1" >/dev/null 2>&1; }
for _ in $(seq 1200); do
    sql 'SELECT 1' && break
    sleep 0.5
done
sql "CREATE DATABASE trident; CREATE USER serve@'127.0.0.1' IDENTIFIED BY 'word'; GRANT ALL ON trident.* TO serve@'127.0.0.1'" ||
    say "FAULT the database does not answer: $(tail -n 3 /var/tmp/db.log | tr '\n' ' ')"
url='mysql://serve:word@127.0.0.1:3306/trident?prefer_socket=false&ssl=verify-identity&ssl-ca=%2Fetc%2Ftrident%2Fdatabase.pem'
trident etl import --mysql "$url" "$store" >/tmp/load.log 2>&1 || say "FAULT load: $(tail -n 2 /tmp/load.log | tr '\n' ' ')"
drop_in=/etc/systemd/system/trident.service.d
install -D -m 0644 /usr/lib/trident/database.conf "$drop_in/database.conf"
systemctl daemon-reload
settings "TRIDENT_TWITTER_STORE=$url"
check 'database: the filter is on' 2 "$(status_of Seccomp)"
# The first lookups of a slow machine may pass their deadline: 503.
eventually 'database: answers as the store it was loaded from' "$wanted" twitter "$newcomer"
connected() { [[ -n $(ss -tnH state established 'dport = :3306') ]] && echo yes; }
eventually 'database: connections over TCP' yes connected
control reload >/dev/null
check 'database: after a reload' "$wanted" "$(twitter "$newcomer")"
rm "$drop_in/database.conf"
systemctl daemon-reload
settings "TRIDENT_TWITTER_STORE=$store"
kill "$database"

# What scripts/tune-ab does to compare with and without the filter.
run=/run/systemd/system/trident.service.d
mkdir -p "$run"
printf '%s' "$no_filter" >"$run/tune-ab.conf"
systemctl daemon-reload
settings "TRIDENT_TWITTER_STORE=$store"
check 'without the filter' 0 "$(status_of Seccomp)"
check 'without the filter: answers' "$wanted" "$(twitter "$newcomer")"
rm "$run/tune-ab.conf"
systemctl daemon-reload
rm /etc/trident/trident.env
rm -rf "$store"
