//! Where the key comes from, and that no secret is printed.

use super::*;

#[test]
fn the_key_comes_from_the_environment_or_a_file_and_nowhere_else() {
    let loaded = from_environment(&[("TRIDENT_AUTH_KEY", KEY)]).ok().unwrap();
    let key = loaded.config().app.auth.key.unwrap();
    assert_eq!((key.0[0], key.0[31]), (0x00, 0xff));
    for told in [
        told(from_flags(&[("auth.key", KEY)])),
        told(from_file(&format!("auth.key = '{KEY}'"))),
    ] {
        assert!(
            told.contains("auth.key: a secret that others could read here"),
            "{told}"
        );
        assert!(
            told.contains("use TRIDENT_AUTH_KEY or auth.key_file"),
            "{told}"
        );
        assert!(!told.contains("0011"), "{told}");
    }
    for bad in [
        "00",
        &KEY[1..],
        &format!("{KEY}0"),
        &KEY.replace('0', "g"),
        &KEY.replace("00", "é"),
    ] {
        let told = told(from_environment(&[("TRIDENT_AUTH_KEY", bad)]));
        let start =
            "TRIDENT_AUTH_KEY: auth.key: expected 64 hex digits (32 bytes), got something else";
        assert!(told.starts_with(start) && !told.contains("2233"), "{told}");
    }
}

#[test]
fn a_key_file_is_read_and_its_permissions_are_looked_at() {
    let directory = TempDir::new();
    let path = directory.file("auth.key", &format!("{KEY}\n"));
    let name = path.to_str().unwrap();
    let read = |mode: u32| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        from_flags(&[("auth.key_file", name)]).ok().unwrap()
    };
    for mode in [0o400, 0o600, 0o640, 0o440] {
        let loaded = read(mode);
        assert!(
            loaded.warnings.is_empty(),
            "{mode:o}: {:?}",
            loaded.warnings
        );
        assert_eq!(loaded.config().app.auth.key.unwrap().0[31], 0xff);
        assert_eq!(loaded.source("auth.key").to_string(), format!("{name}:1:1"));
    }
    for mode in [0o644, 0o660, 0o604] {
        let warnings = read(mode).warnings;
        assert!(
            warnings.len() == 1 && warnings[0].contains("wider than 0640"),
            "{mode:o}: {warnings:?}"
        );
        assert!(
            warnings[0].contains(&format!("permissions {mode:04o}")),
            "{warnings:?}"
        );
    }
    let both = load(sources(
        None,
        &[("TRIDENT_AUTH_KEY", KEY)],
        &[("auth.key_file", name)],
    ));
    assert!(told(both).contains("remove one of the two"));
    fs::write(&path, "not a key, s3cret").unwrap();
    let bad = told(from_flags(&[("auth.key_file", name)]));
    assert!(
        bad.contains("64 hex digits") && !bad.contains("s3cret"),
        "{bad}"
    );
    let missing = told(from_flags(&[("auth.key_file", "/nonexistent/key")]));
    assert!(
        missing.starts_with("--set: auth.key_file: cannot read /nonexistent/key: "),
        "{missing}"
    );
}

#[test]
fn secrets_are_in_no_output() {
    let exponent = "987654321987654321";
    let loaded = from_environment(&[
        ("TRIDENT_AUTH_KEY", KEY),
        ("TRIDENT_BLOCKCHAIN_TEAM_PRIVATE_EXPONENT", exponent),
        ("TRIDENT_ADMIN_TOKEN", "t0ken-t0ken-t0ken"),
    ]);
    let loaded = loaded.ok().unwrap();
    let outputs = [
        report::text(&loaded),
        report::json(&loaded),
        loaded.warnings.join("\n"),
        format!("{:?}", loaded.config().app.auth),
        format!("{:?}", loaded.config().serve),
    ];
    for output in &outputs {
        let lower = output.to_lowercase();
        assert!(
            !lower.contains("ddeeff") && !lower.contains("221, 238, 255"),
            "{output}"
        );
        assert!(!output.contains(exponent), "{output}");
        assert!(!output.contains("t0ken"), "{output}");
    }
    assert_eq!(
        outputs[0].matches("set (hidden)").count(),
        3,
        "{}",
        outputs[0]
    );
    let told = told(from_environment(&[(
        "TRIDENT_BLOCKCHAIN_TEAM_PRIVATE_EXPONENT",
        "12x34",
    )]));
    assert!(
        told.contains("got something else (hidden)") && !told.contains("12x34"),
        "{told}"
    );
    let told = super::told(from_flags(&[("auth.url", "http://me:s3cret@a/b")]));
    assert!(!told.contains("s3cret"), "{told}");
}
