//! Which source wins, and that every source can give every setting.

use super::*;

#[test]
fn every_setting_reads_the_same_from_file_environment_and_flag() {
    for setting in SETTINGS {
        let key = setting.key;
        let (text, value) = other_value(setting);
        let variable = Source::Environment(setting.env_name());
        let (given, errors) =
            source::environment(&[(setting.env_name().into(), text.clone().into())]);
        assert!(errors.is_empty() && given.len() == 1, "{key}");
        assert!(given[0].source == variable && given[0].setting.key == key);
        let loaded = read_alone(setting, Raw::Text(text.clone()), variable)
            .ok()
            .unwrap();
        assert!(
            setting.value(&loaded.draft) == value,
            "{key} from the environment"
        );
        if setting.secrecy == Secrecy::Environment {
            continue;
        }
        let document = format!("{key} = {value}\n");
        let (mut given, errors) = file::parse(&document, Path::new("t.toml"));
        assert!(errors.is_empty(), "{errors:?} in {document}");
        let Given {
            setting: found,
            raw,
            source,
        } = given.pop().unwrap();
        assert_eq!(
            (found.key, source.to_string()),
            (key, format!("t.toml:1:{}", key.len() + 4))
        );
        let loaded = read_alone(setting, raw, source).unwrap_or_else(|error| panic!("{error}"));
        assert!(setting.value(&loaded.draft) == value, "{key} from the file");
        let (mut given, _) = source::command_line(vec![Flag {
            name: "--set".into(),
            key: key.into(),
            raw: Raw::Text(text),
        }]);
        let Given { raw, source, .. } = given.pop().unwrap();
        let loaded = read_alone(setting, raw, source).ok().unwrap();
        assert!(setting.value(&loaded.draft) == value, "{key} from a flag");
    }
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let directory = TempDir::new();
    let path = directory.file("trident.toml", "# three\n\nworkers = 3\n");
    let in_file = format!("{}:3:11", path.display());
    // (in the file, in the environment, as a flag) -> (workers, source)
    let table = [
        (false, false, false, 0, "default"),
        (true, false, false, 3, in_file.as_str()),
        (false, true, false, 4, "TRIDENT_WORKERS"),
        (false, false, true, 5, "--set"),
        (true, true, false, 4, "TRIDENT_WORKERS"),
        (true, false, true, 5, "--set"),
        (false, true, true, 5, "--set"),
        (true, true, true, 5, "--set"),
    ];
    for (file, environment, flag, workers, source) in table {
        let environment: &[_] = if environment {
            &[("TRIDENT_WORKERS", "4")]
        } else {
            &[]
        };
        let set: &[_] = if flag { &[("workers", "5")] } else { &[] };
        let loaded = load(sources(file.then(|| path.clone()), environment, set))
            .ok()
            .unwrap();
        assert_eq!(loaded.config().serve.workers, workers);
        assert_eq!(loaded.source("workers").to_string(), source);
        assert_eq!(loaded.given_count(), usize::from(source != "default"));
    }
}

#[test]
fn the_later_flag_wins() {
    let loaded = from_flags(&[("workers", "1"), ("workers", "2")])
        .ok()
        .unwrap();
    assert_eq!(loaded.config().serve.workers, 2);
}

#[test]
fn the_file_is_named_by_flag_then_variable_then_found_by_default() {
    let directory = TempDir::new();
    let (one, two) = (
        directory.file("1.toml", "workers = 1"),
        directory.file("2.toml", "workers = 2"),
    );
    let three = directory.file("3.toml", "workers = 3");
    let variable = [(ENV_CONFIG, two.to_str().unwrap())];
    let read = |file: Option<&PathBuf>, environment: &[(&str, &str)]| {
        let mut sources = sources(file.cloned(), environment, &[]);
        sources.default_file = three.clone();
        let loaded = load(sources).ok().unwrap();
        (loaded.config().serve.workers, loaded.file.clone().unwrap())
    };
    assert_eq!(read(Some(&one), &variable), (1, one.clone()));
    assert_eq!(read(None, &variable), (2, two.clone()));
    assert_eq!(read(None, &[]), (3, three.clone()));
    assert_eq!(read(None, &[(ENV_CONFIG, "")]), (3, three.clone()));
}

#[test]
fn a_named_file_must_exist() {
    let missing = told(load(sources(Some("/nonexistent/a.toml".into()), &[], &[])));
    assert!(
        missing.starts_with("--config: cannot read /nonexistent/a.toml: "),
        "{missing}"
    );
    let missing = told(from_environment(&[(ENV_CONFIG, "/nonexistent/b.toml")]));
    assert!(
        missing.starts_with("TRIDENT_CONFIG: cannot read /nonexistent/b.toml: "),
        "{missing}"
    );
    assert!(
        missing.ends_with("; name a file that exists, or none\n"),
        "{missing}"
    );
    let directory = told(load(sources(Some("/".into()), &[], &[])));
    assert!(directory.contains("cannot read /: ") && directory.contains("name a file"));
    assert!(load(sources(None, &[], &[])).is_ok_and(|loaded| loaded.file.is_none()));
}

#[test]
fn variables_that_orchestrators_make_for_a_service_of_our_name_are_left_alone() {
    let made = [
        ("TRIDENT_SERVICE_HOST", "10.0.0.1"),
        ("TRIDENT_SERVICE_PORT", "80"),
        ("TRIDENT_SERVICE_PORT_HTTP", "80"),
        ("TRIDENT_PORT", "tcp://10.0.0.1:80"),
        ("TRIDENT_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("TRIDENT_PORT_80_TCP_PROTO", "tcp"),
        ("TRIDENT_PORT_80_TCP_PORT", "80"),
        ("TRIDENT_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("TRIDENT_ADMIN_SERVICE_HOST", "10.0.0.1"),
        ("TRIDENT_ADMIN_PORT", "tcp://10.0.0.1:9090"),
    ];
    assert!(from_environment(&made).is_ok_and(|loaded| loaded.given_count() == 0));
    let told = told(from_environment(&[("TRIDENT_PORT", "80")]));
    assert!(told.starts_with("TRIDENT_PORT: unknown variable"), "{told}");
}

#[test]
fn big_numbers_of_any_size_keep_their_value() {
    let modulus = "9".repeat(600);
    let loaded = from_flags(&[("blockchain.modulus", &modulus)])
        .ok()
        .unwrap();
    assert_eq!(loaded.config().app.blockchain.modulus.to_string(), modulus);
    assert!(from_flags(&[("blockchain.modulus", &"9".repeat(1234))]).is_err());
    let loaded = from_file("blockchain = { team_account = 7, modulus = \"1_000\" }")
        .ok()
        .unwrap();
    assert_eq!(loaded.config().app.blockchain.team_account, 7);
    assert_eq!(loaded.config().app.blockchain.modulus.to_string(), "1000");
}

#[test]
fn numbers_take_suffixes_from_every_source() {
    let value = |loaded: Result<Loaded, Vec<ConfigError>>, key: &str| {
        let loaded = loaded.unwrap_or_else(|errors| panic!("{errors:?}"));
        table::find(key).unwrap().value(&loaded.draft).to_string()
    };
    for (key, text, number) in [
        ("cache_bytes", "1G", "1073741824"),
        ("http.connections_max", "10K", "10000"),
        ("http.idle_timeout_ms", "75s", "75000"),
        ("profile.seconds", "2m", "120"),
        ("stack_bytes", "64K", "65536"),
        ("workers", "2", "2"),
    ] {
        let name = table::find(key).unwrap().env_name();
        assert_eq!(value(from_flags(&[(key, text)]), key), number, "{key}");
        assert_eq!(
            value(from_environment(&[(&name, text)]), key),
            number,
            "{key}"
        );
        assert_eq!(
            value(from_file(&format!("{key} = \"{text}\"")), key),
            number,
            "{key}"
        );
    }
    // The bounds hold for the number that is meant.
    assert!(from_flags(&[("stack_bytes", "65K")]).is_err());
    assert!(from_flags(&[("http.connections_max", "2M")]).is_err());
}

#[test]
fn a_port_alone_and_localhost_are_addresses() {
    let listen = |text: &str| {
        from_flags(&[("listen", text)])
            .ok()
            .unwrap()
            .config()
            .serve
            .listen
    };
    let admin = |text: &str| {
        from_flags(&[("admin", text)])
            .ok()
            .unwrap()
            .config()
            .serve
            .admin
    };
    assert_eq!(listen("8081"), ["0.0.0.0:8081".parse().unwrap()]);
    assert_eq!(listen(":8081"), ["0.0.0.0:8081".parse().unwrap()]);
    assert_eq!(listen("*:8081"), ["0.0.0.0:8081".parse().unwrap()]);
    assert_eq!(
        listen("localhost:8081"),
        ["127.0.0.1:8081".parse().unwrap()]
    );
    assert_eq!(
        listen("[::]:8081, 8082"),
        [
            "[::]:8081".parse().unwrap(),
            "0.0.0.0:8082".parse().unwrap()
        ]
    );
    assert_eq!(admin("9091"), "127.0.0.1:9091".parse().ok());
    assert_eq!(admin("localhost:9091"), "127.0.0.1:9091".parse().ok());
    assert_eq!(admin("off"), None);
    let file = from_file("listen = 8081\nadmin = 9091\n")
        .ok()
        .unwrap()
        .config();
    assert_eq!(file.serve.listen, ["0.0.0.0:8081".parse().unwrap()]);
    assert_eq!(file.serve.admin, "127.0.0.1:9091".parse().ok());
}
