//! Releases: what is signed is read as it was written, or not at all.

use proptest::prelude::*;

use super::*;

fn file(os: TargetOs, arch: TargetArch) -> ReleaseFile {
    ReleaseFile {
        os,
        arch,
        file: "tidemark-agent".to_owned(),
        length: 9,
        sha256: FileDigest::from_bytes([1; 32]),
    }
}

fn manifest() -> Manifest {
    Manifest {
        product: PRODUCT.to_owned(),
        version: "1.2.3".to_owned(),
        release: 7,
        floor: 3,
        issued_at_ms: Timestamp::from_unix_ms(1_000),
        expires_at_ms: Timestamp::from_unix_ms(2_000),
        files: vec![
            file(TargetOs::Linux, TargetArch::X86_64),
            file(TargetOs::Windows, TargetArch::X86_64),
        ],
    }
}

#[test]
fn the_signed_bytes_are_these_and_no_others() {
    let bytes = manifest().to_bytes();
    let digest = "01".repeat(32);
    let file = |os| {
        format!(
            "{{\"os\":\"{os}\",\"arch\":\"x86_64\",\"file\":\"tidemark-agent\",\"length\":9,\"sha256\":\"{digest}\"}}"
        )
    };
    let text = format!(
        "{{\"product\":\"tidemark-agent\",\"version\":\"1.2.3\",\"release\":7,\"floor\":3,\"issued_at_ms\":1000,\
         \"expires_at_ms\":2000,\"files\":[{},{}]}}",
        file("linux"),
        file("windows")
    );
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), text);
    assert_eq!(Manifest::from_bytes(&bytes), Ok(manifest()));
    for other in [
        text.replacen('{', "{ ", 1),
        text.replacen("\"release\":7", "\"release\":7,\"release\":8", 1),
        text.replacen("\"floor\"", "\"note\":1,\"floor\"", 1),
        format!("{text}\n"),
    ] {
        Manifest::from_bytes(other.as_bytes()).unwrap_err();
    }
}

#[test]
fn what_is_out_of_its_limits_is_no_manifest_and_names_the_field() {
    type Change = fn(&mut Manifest);
    let day_ms = 86_400_000;
    let late = move |manifest: &mut Manifest| {
        manifest.expires_at_ms = Timestamp::from_unix_ms(1_001 + 90 * day_ms);
    };
    let changes: [(&str, Change); 12] = [
        ("product", |one| one.product = "tidemark".to_owned()),
        ("version", |one| one.version = "../1".to_owned()),
        ("version", |one| one.version = "1".repeat(33)),
        ("release", |one| one.release = 0),
        ("release", |one| one.release = u32::MAX),
        ("floor", |one| one.floor = 8),
        ("expires_at_ms", |one| one.expires_at_ms = one.issued_at_ms),
        ("files", |one| one.files.clear()),
        ("files", |one| one.files.reverse()),
        ("files", |one| {
            one.files.push(file(TargetOs::Windows, TargetArch::X86_64))
        }),
        ("length", |one| one.files[0].length = FILE_BYTES_MAX + 1),
        ("file has", |one| one.files[1].file = "a/b".to_owned()),
    ];
    for (field, change) in changes {
        let mut wrong = manifest();
        change(&mut wrong);
        let error = Manifest::from_bytes(&wrong.to_bytes()).unwrap_err();
        assert!(error.to_string().contains(field), "{field}: {error}");
    }
    let mut wrong = manifest();
    late(&mut wrong);
    let error = wrong.check().unwrap_err().to_string();
    assert!(error.contains("90 d"), "{error}");
    let long = Manifest::from_bytes(&vec![b' '; MANIFEST_BYTES_MAX + 1]);
    assert!(matches!(long, Err(InvalidManifest::TooLong(_))));
}

#[test]
fn a_target_reads_as_it_is_written() {
    for text in ["linux/x86_64", "windows/aarch64"] {
        assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
    }
    for text in ["linux", "linux/", "plan9/x86_64", "linux/x86_64/"] {
        assert_eq!(text.parse::<Target>(), Err(InvalidTarget));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(manifest) = Manifest::from_bytes(&bytes) {
            prop_assert_eq!(manifest.to_bytes(), bytes);
        }
    }
}
