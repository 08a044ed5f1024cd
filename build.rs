//! Compiles the contract, without protoc, and keeps its descriptor set for
//! the reflection service.

use std::{env, error::Error, fs, path::PathBuf};

const CONTRACT: &str = "fetchd/v1/fetchd.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_file(CONTRACT)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("descriptors.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    tonic_prost_build::configure()
        .build_client(env::var_os("CARGO_FEATURE_CLIENT").is_some())
        .build_server(env::var_os("CARGO_FEATURE_SERVER").is_some())
        .build_transport(false)
        .bytes(".fetchd.v1")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
