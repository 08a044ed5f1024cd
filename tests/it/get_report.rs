//! `fetchd get --report` and `--har`.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::{HeaderValue, StatusCode, header};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Origin,
    command::{LOCAL, fetchd, finish, lines, signal, spawn, stderr},
    metered_origin, reply, service, until,
};

const PASSWORD: &str = "hunter2";

/// A folder with the files of both flags.
struct Files {
    folder: TempDir,
    page: PathBuf,
    archive: PathBuf,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (page, archive) = (folder.path().join("a.html"), folder.path().join("a.har"));
        Self {
            folder,
            page,
            archive,
        }
    }

    /// The arguments of a command that writes both.
    fn command<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let [page, archive] = [&self.page, &self.archive].map(|path| path.to_str().unwrap());
        let flags = ["--report", page, "--har", archive];
        [&["get"], arguments, &flags, &LOCAL].concat()
    }

    /// Returns the data of the page.
    fn page(&self) -> Page {
        let text = fs::read_to_string(&self.page).unwrap();
        let Value::Array(rows) = data(&text, "rows") else {
            panic!("the rows are no list");
        };
        Page {
            rows,
            digest: data(&text, "digest"),
            text,
        }
    }

    /// Returns the entries of the archive, in the order of the input.
    fn entries(&self) -> Vec<Value> {
        let text = fs::read(&self.archive).unwrap();
        let archive: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(archive["log"]["version"], "1.2");
        let mut entries = archive["log"]["entries"].as_array().unwrap().clone();
        entries.sort_by_key(|entry| entry["_fetchd"]["index"].as_u64());
        entries
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

struct Page {
    text: String,
    rows: Vec<Value>,
    digest: Value,
}

/// Returns the JSON in the data block `id`, as a browser finds its end.
fn data(page: &str, id: &str) -> Value {
    let start = format!(r#"<script id="{id}" type="application/json">"#);
    let (_, rest) = page.split_once(&start).unwrap();
    let (json, _) = rest.split_once("</script").unwrap();
    serde_json::from_str(json).unwrap()
}

/// Starts an origin that answers by the path.
async fn varied() -> Origin {
    let fails = Arc::new(AtomicBool::new(true));
    Origin::new(move |request| {
        let path = request.uri().path().to_owned();
        let fails = path == "/fails-first" && fails.swap(false, Ordering::SeqCst);
        async move {
            let mut reply = reply("there");
            let headers = reply.headers_mut();
            let password = HeaderValue::from_static(PASSWORD);
            headers.insert(header::SET_COOKIE, password);
            headers.insert("x-hostile", HeaderValue::from_static("</script><b>"));
            match path.as_str() {
                "/redirects" => {
                    headers.insert(header::LOCATION, HeaderValue::from_static("/plain"));
                    *reply.status_mut() = StatusCode::FOUND;
                }
                "/slow" => tokio::time::sleep(Duration::from_millis(50)).await,
                _ if fails => *reply.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
                _ => {}
            }
            reply
        }
    })
    .await
}

fn milliseconds(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn phases_of_an_entry_add_up_to_its_time() {
    let origin = varied().await;
    let files = Files::new();
    let urls = ["slow", "redirects", "fails-first"].map(|path| origin.url(path));
    let urls = [&urls[0], &urls[1], &urls[2], "http://127.0.0.1:1/", "no"];
    let before = SystemTime::now();
    let output = fetchd(&files.command(&urls), "").await;
    let after = SystemTime::now();
    let entries = files.entries();
    assert_eq!(entries.len(), 5);
    for (entry, line) in entries.iter().zip(lines(&output)) {
        let timings = &entry["timings"];
        let phases = ["blocked", "dns", "connect", "send", "wait", "receive"];
        let phases = phases.map(|phase| milliseconds(&timings[phase]));
        let sum: f64 = phases.into_iter().filter(|phase| *phase >= 0.0).sum();
        let time = milliseconds(&entry["time"]);
        assert!((sum - time).abs() < 0.01, "{entry}");

        let total = line["timing"]["total"].as_f64().unwrap_or_default();
        let queueing = milliseconds(&timings["_blocked_queueing"]);
        assert!((total + queueing - time).abs() < 0.01, "{entry}\n{line}");

        let start = entry["startedDateTime"].as_str().unwrap();
        let start = humantime::parse_rfc3339(start).unwrap();
        assert!(before <= start, "{entry}");
        assert!(
            start + Duration::from_secs_f64(time / 1e3) <= after,
            "{entry}"
        );
    }
    assert!(milliseconds(&entries[0]["timings"]["wait"]) >= 50.0);
    let blocked = |entry: &Value| milliseconds(&entry["timings"]["blocked"]);
    let queueing = |entry: &Value| milliseconds(&entry["timings"]["_blocked_queueing"]);
    assert!((blocked(&entries[0]) - queueing(&entries[0])).abs() < 0.001);
    for entry in &entries[1..3] {
        assert!(blocked(entry) > queueing(entry), "{entry}");
        assert_eq!(entry["response"]["status"], 200);
    }
    for (entry, error) in [
        (&entries[3], "net::ERR_CONNECTION_FAILED"),
        (&entries[4], "net::ERR_INVALID_ARGUMENT"),
    ] {
        assert_eq!(entry["response"]["status"], 0);
        assert_eq!(entry["response"]["_error"], error);
    }
    assert_eq!(entries[4]["_fetchd"]["url"], "no");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_shown_as_they_were_sent_but_without_secrets() {
    let origin = varied().await;
    let files = Files::new();
    let url = format!("http://user:{PASSWORD}@{}/?a=b%20c#d", origin.address);
    let secret = |name: &str| format!("{name}: {PASSWORD}");
    let [authorization, cookie, key] = ["Authorization", "Cookie", "X-Api-Key"].map(secret);
    let flags = ["-H", &authorization, "-H", &cookie, "-H", &key];
    let flags = [&flags[..], &["-H", "Accept: a/b", "-d", PASSWORD, &url]].concat();
    let output = fetchd(&files.command(&flags), "").await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let entry = files.entries().remove(0);
    let request = &entry["request"];
    assert_eq!(request["method"], "POST");
    assert_eq!(
        request["url"],
        format!("http://{}/?a=b%20c", origin.address)
    );
    assert_eq!(request["queryString"][0]["value"], "b c");
    assert_eq!(request["bodySize"], PASSWORD.len());
    let value = |message: &Value, name: &str| {
        let headers = message["headers"].as_array().unwrap();
        let header = headers.iter().find(|header| header["name"] == name);
        header.unwrap()["value"].as_str().unwrap().to_owned()
    };
    for name in ["Authorization", "Cookie", "X-Api-Key"] {
        assert_eq!(value(request, name), "[redacted]");
    }
    assert_eq!(value(request, "Accept"), "a/b");
    assert_eq!(value(&entry["response"], "set-cookie"), "[redacted]");
    assert_eq!(value(&entry["response"], "x-hostile"), "</script><b>");
    for file in [&files.page, &files.archive] {
        assert!(!fs::read_to_string(file).unwrap().contains(PASSWORD));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirect_that_is_not_followed_has_no_credentials() {
    let location = format!("http://user:{PASSWORD}@127.0.0.1:1/next");
    let origin = Origin::new(move |_| {
        let mut reply = reply("");
        *reply.status_mut() = http::StatusCode::FOUND;
        let headers = reply.headers_mut();
        headers.insert("location", location.parse().unwrap());
        headers.insert("content-location", location.parse().unwrap());
        async { reply }
    })
    .await;
    let files = Files::new();
    let url = origin.url("");
    fetchd(&files.command(&["--max-redirects", "0", &url]), "").await;
    let response = &files.entries()[0]["response"];
    assert_eq!(response["redirectURL"], "http://127.0.0.1:1/next");
    for file in [&files.page, &files.archive] {
        assert!(!fs::read_to_string(file).unwrap().contains(PASSWORD));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_strings_stay_data() {
    let files = Files::new();
    let urls = [
        "http://127.0.0.1:1/</script><script>alert(1)</script>",
        "</script><!-- script --><!-- digest -->",
        "http://\u{2028}\"'&<!--",
    ];
    fetchd(&files.command(&urls), "").await;
    let page = files.page();
    for (row, url) in page.rows.iter().zip(urls) {
        assert_eq!(row["url"], url);
    }
    // Two blocks of data, and the script.
    assert_eq!(page.text.matches("<script").count(), 3);
    assert_eq!(page.text.matches("</script").count(), 3);
    let policy = "default-src 'none'; style-src 'sha256-";
    assert!(page.text.contains(policy));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_ways_to_get_results_have_both_files() {
    let origin = varied().await;
    let service = service().await;
    let folder = tempfile::tempdir().unwrap();
    let urls: Vec<_> = (0..30).map(|path| origin.url(path)).collect();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    for flags in [
        &[][..],
        &["--unordered"],
        &["--no-body"],
        &["-o", folder.path().to_str().unwrap()],
        &["--server", &service.url],
    ] {
        let files = Files::new();
        let mut command = files.command(&[flags, &urls].concat());
        if flags.contains(&"--server") {
            command.truncate(command.len() - LOCAL.len());
        }
        let output = fetchd(&command, "").await;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let page = files.page();
        assert_eq!(
            (page.rows.len(), files.entries().len()),
            (30, 30),
            "{flags:?}"
        );
        assert_eq!(page.digest["counts"]["2xx"], 30);
        assert_eq!(page.digest["bytes"], 30 * "there".len());
        let buckets = page.digest["histogram"].as_array().unwrap();
        let sum: u64 = buckets
            .iter()
            .map(|bucket| bucket["count"].as_u64().unwrap())
            .sum();
        assert_eq!(sum, 30);
        assert_eq!(files.names(), ["a.har", "a.html"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_list_leaves_what_has_arrived() {
    let (origin, gate) = metered_origin().await;
    let files = Files::new();
    let urls: Vec<_> = (0..200).map(|path| origin.url(path)).collect();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let get = spawn(&files.command(&[&["-c", "10"], &urls[..]].concat()));
    gate.add_permits(50);
    until(|| gate.available_permits() == 0).await;
    signal(get.id(), "INT");
    let output = finish(get).await;
    assert_eq!(output.status.code(), Some(130));
    let printed = lines(&output).len();
    let page = files.page();
    assert!(printed > 0);
    assert_eq!((page.rows.len(), files.entries().len()), (printed, printed));
    assert_eq!(page.digest["remaining"], 200 - printed);
    assert_eq!(files.names(), ["a.har", "a.html"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_process_leaves_earlier_files_as_they_were() {
    let (origin, gate) = metered_origin().await;
    let files = Files::new();
    for path in [&files.page, &files.archive] {
        fs::write(path, "earlier").unwrap();
    }
    let urls = [origin.url(1), origin.url(2)];
    let get = spawn(&files.command(&["-c", "1", &urls[0], &urls[1]]));
    gate.add_permits(1);
    until(|| origin.seen() == 2).await;
    signal(get.id(), "KILL");
    finish(get).await;
    for path in [&files.page, &files.archive] {
        assert_eq!(fs::read(path).unwrap(), b"earlier");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_call_leaves_valid_files_that_say_so() {
    let files = Files::new();
    let flags = ["--server", "http://127.0.0.1:1", "http://a.example/"];
    let mut command = files.command(&flags);
    command.truncate(command.len() - LOCAL.len());
    let output = fetchd(&command, "").await;
    assert_eq!(output.status.code(), Some(3));
    let page = files.page();
    assert_eq!((page.rows.len(), files.entries().len()), (0, 0));
    assert_eq!(page.digest["remaining"], 1);
    let error = page.digest["error"].as_str().unwrap();
    assert!(error.contains("127.0.0.1:1"), "{error}");
    assert!(stderr(&output).contains(error));
}

#[tokio::test(flavor = "multi_thread")]
async fn file_that_cannot_be_written_is_wrong_usage_before_anything_is_fetched() {
    let origin = varied().await;
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list");
    fs::write(&list, origin.url("")).unwrap();
    let (file, missing) = (
        folder.path().join("file"),
        folder.path().join("missing/file"),
    );
    let [list, file] = [&list, &file].map(|path| path.to_str().unwrap());
    let [missing, folder] = [&missing, folder.path()].map(|path: &Path| path.to_str().unwrap());
    let dotted = format!("{folder}/./file");
    for (flags, message) in [
        (vec!["--report", missing], "--report: cannot write"),
        (vec!["--har", missing], "--har: cannot write"),
        (vec!["--report", folder], "--report: cannot write"),
        (
            vec!["--report", file, "--har", &dotted],
            "--report: expected another file",
        ),
        (
            vec!["--har", file, "--failures", file],
            "--har: expected another file",
        ),
        (vec!["--report", list], "--report: expected another file"),
    ] {
        let command = [&["get", "-i", list], &flags[..], &LOCAL].concat();
        let output = fetchd(&command, "").await;
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
    assert_eq!(origin.seen(), 0);
    assert_eq!(fs::read_to_string(list).unwrap(), origin.url(""));
}
