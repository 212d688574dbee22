//! The map of keys in a MariaDB that takes nothing but TLS.

use super::*;
use crate::{certificates::Certificates, database::Database, harness::required};

#[test]
fn the_map_is_reached_through_tls() {
    if !required("mariadb", &["openssl"]) {
        return;
    }
    let certificates = Certificates::new();
    let options = certificates.options();
    let options = options.iter().map(String::as_str);
    let more = [
        "--require-secure-transport=ON",
        "--innodb-flush-log-at-trx-commit=1",
    ];
    let options: Vec<_> = options.chain(more).collect();
    let Some(database) = Database::start(&options) else {
        return;
    };
    let parameters = format!("ssl=verify-identity&ssl-ca={}", certificates.file("ca.pem"));
    let url = format!("{}?{parameters}", database.url());
    let memcache = Memcache::start(&["--map", &url]);
    let mut front = memcache.front();
    for file in [b"first", b"other"] {
        assert_eq!(front.upload("k", file).0, 200);
        assert_eq!(front.read("k").unwrap(), file);
    }
    assert_eq!(front.keys(), json!(["k"]));
    let rows = "SELECT COUNT(*) FROM trident.memcache_versions";
    assert_eq!(database.number(rows), 1);
}
