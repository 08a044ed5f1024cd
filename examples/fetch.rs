//! Fetches the URLs in its arguments through a running service, and prints the status
//! of each in their order.
//!
//! `cargo run --example fetch -- https://example.com/ https://www.rust-lang.org/`

#![allow(clippy::print_stdout)]

use std::env;

use fetchd::client::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let urls: Vec<_> = env::args().skip(1).collect();
    let client = Client::connect("http://localhost:50051").await?;
    let results = client.fetch_all(urls.clone()).await;
    for (url, result) in urls.iter().zip(results) {
        match result {
            Ok(response) => println!("{url}: {}", response.status()),
            Err(error) => println!("{url}: {error}"),
        }
    }
    Ok(())
}
