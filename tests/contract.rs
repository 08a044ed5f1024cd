//! Checks that the code generated from `proto/` is up to date, and that we can add to it
//! without breaking callers.
//!
//! To regenerate it, run `FETCHD_REGENERATE=1 cargo test --test contract`.

#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

const CONTRACT: &str = "fetchd/v1/fetchd.proto";

/// All generated files. The first has the messages and stubs, the second the encoded
/// descriptors.
const GENERATED: [&str; 2] = ["fetchd.v1.rs", "descriptors.bin"];

#[test]
fn generated_code_is_up_to_date() {
    let fresh = generate();
    let regenerate = env::var_os("FETCHD_REGENERATE").is_some();
    for name in GENERATED {
        let (new, kept) = (fresh.path().join(name), kept().join(name));
        if regenerate {
            fs::copy(new, kept).unwrap();
        } else {
            assert!(
                fs::read(new).unwrap() == fs::read(&kept).unwrap_or_default(),
                "{} does not match proto/; run FETCHD_REGENERATE=1 cargo test --test contract",
                kept.display(),
            );
        }
    }
}

#[test]
fn generated_enums_are_non_exhaustive() {
    let code = fs::read_to_string(generate().path().join("fetchd.v1.rs")).unwrap();
    let lines: Vec<_> = code.lines().map(str::trim).collect();
    let mut enums = 0;
    for (number, line) in lines.iter().enumerate() {
        if !line.starts_with("pub enum ") {
            continue;
        }
        enums += 1;
        let attributes = lines[..number].iter().rev();
        let mut attributes = attributes.take_while(|line| line.starts_with("#["));
        assert!(
            attributes.any(|line| *line == "#[non_exhaustive]"),
            "a new value of `{line}` would be a breaking change",
        );
    }
    assert!(enums > 0, "expected enums in the generated code");
}

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/proto")
}

/// Compiles the contract without using protoc. We keep the comments in the descriptors,
/// so that reflection can show them.
fn generate() -> TempDir {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let directory = tempfile::tempdir().unwrap();
    let mut compiler = protox::Compiler::new([proto]).unwrap();
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_file(CONTRACT)
        .unwrap();
    let descriptors = compiler.encode_file_descriptor_set();
    fs::write(directory.path().join("descriptors.bin"), descriptors).unwrap();
    tonic_prost_build::configure()
        .out_dir(directory.path())
        .build_transport(false)
        .bytes(".fetchd.v1")
        .enum_attribute(".", "#[non_exhaustive]")
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .compile_fds(compiler.file_descriptor_set())
        .unwrap();
    directory
}
