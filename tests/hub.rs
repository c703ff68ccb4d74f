//! Models of the hub, from a server of this test: what is fetched, what is taken from the cache, what goes on where a
//! download broke off.

#[path = "checkpoints/stored.rs"]
#[allow(dead_code)]
mod stored;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

/// The commit of the repository's only revision.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A hub with one repository, `owner/model`.
struct Hub {
    endpoint: String,
    /// Paths asked for, each with its range and token.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(files: BTreeMap<String, Vec<u8>>) -> Hub {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &files, &log);
            }
        });
        Hub { endpoint, requests }
    }

    /// What was asked for since the last call.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().expect("no panics under it"))
    }
}

/// Answers one request and hangs up.
fn answer(stream: TcpStream, files: &BTreeMap<String, Vec<u8>>, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let headers: BTreeMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let range = headers.get("range").cloned();
    let token = headers.get("authorization").cloned().unwrap_or_default();
    let shown = [path.clone(), range.clone().unwrap_or_default(), token].join(" ");
    log.lock().expect("no panics under it").push(shown.trim_end().to_owned());

    let mut stream = &stream;
    let mut send = |status: &str, headers: &str, body: &[u8]| {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
        // The program may hang up before the end.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    };
    if path == "/api/models/owner/model/revision/main" {
        let siblings: Vec<_> = files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
        let info = serde_json::json!({ "sha": COMMIT, "siblings": siblings });
        return send("200 OK", "Content-Type: application/json\r\n", info.to_string().as_bytes());
    }
    let file = path.strip_prefix(&format!("/owner/model/resolve/{COMMIT}/")).and_then(|name| files.get_key_value(name));
    let Some((name, bytes)) = file else { return send("404 Not Found", "", b"Entry not found") };
    let bounds = range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.split_once('-')).expect("a range");
    let start: usize = bounds.0.parse().expect("a number");
    let end = bounds.1.parse().map_or(bytes.len(), |last: usize| (last + 1).min(bytes.len()));
    let headers = format!(
        "ETag: \"{}\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Range: bytes {start}-{}/{}\r\n",
        etag(name),
        end.saturating_sub(1),
        bytes.len()
    );
    send("206 Partial Content", &headers, &bytes[start.min(end)..end]);
}

/// What the cache calls a file's blob.
fn etag(name: &str) -> String {
    name.replace(['/', '.'], "-")
}

/// The miniature as a repository, with what else lies in those of Stable Diffusion.
fn repository() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in [
        "diffedit.json",
        "words.txt",
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        stored::TEXT,
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        stored::UNET,
        "vae/config.json",
        stored::VAE,
    ] {
        files.insert(name.to_owned(), fs::read(stored::demo().join(name)).expect("part of the miniature"));
    }
    let half = files["vae/diffusion_pytorch_model.safetensors"].clone();
    files.insert("vae/diffusion_pytorch_model.fp16.safetensors".into(), half);
    for unwanted in
        ["README.md", "v1-5-pruned.ckpt", "v1-5-pruned.safetensors", "safety_checker/model.safetensors", "unet/x.bin"]
    {
        files.insert(unwanted.into(), b"nobody wants this".to_vec());
    }
    files
}

/// Cuts a mask from a map with the defaults of the hub's model: reads the model, and needs no device.
fn mask(folder: &Path, hub: &Hub, model: &str, more: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_diffedit"))
        .args(["mask", "--map", "map.png", "--blur", "1", "--model", model, "-o", "mask.png"])
        .current_dir(folder)
        .env("HF_HOME", folder.join("huggingface"))
        .env("HF_ENDPOINT", &hub.endpoint)
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_TOKEN")
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("DIFFEDIT_OFFLINE")
        .env("NO_PROXY", "127.0.0.1")
        .envs(more.iter().copied())
        .output()
        .expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn snapshot(folder: &Path) -> PathBuf {
    folder.join("huggingface/hub/models--owner--model/snapshots").join(COMMIT)
}

#[test]
fn a_model_is_fetched_once_and_no_more_of_it_than_is_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    image::GrayImage::from_pixel(16, 16, image::Luma([102])).save(path.join("map.png")).expect("a map");
    let hub = Hub::start(repository());

    for (variable, value) in [("DIFFEDIT_OFFLINE", "1"), ("HF_HUB_OFFLINE", "1")] {
        let output = mask(path, &hub, "owner/model", &[(variable, value)]);
        let said = said(&output);
        assert!(!output.status.success() && said.contains("no folder or file owner/model"), "{said}");
        assert!(said.contains(&format!("forbidden by {variable}")), "{said}");
    }
    assert_eq!(hub.asked(), Vec::<String>::new());
    let output = mask(path, &hub, "owner/other", &[]);
    assert!(!output.status.success() && said(&output).contains("no such model"), "{}", said(&output));
    assert_eq!(hub.asked(), ["/api/models/owner/other/revision/main"]);

    // A download that broke off half way.
    let half = repository()[stored::UNET].len() / 2;
    let blobs = path.join("huggingface/hub/models--owner--model/blobs");
    fs::create_dir_all(&blobs).expect("a folder");
    let part = blobs.join(format!("{}.part", etag(stored::UNET)));
    fs::write(&part, &repository()[stored::UNET][..half]).expect("a file");

    let output = mask(path, &hub, "owner/model", &[("HF_TOKEN", "secret")]);
    assert!(output.status.success(), "{}", said(&output));
    let asked = hub.asked();
    assert!(asked.iter().all(|request| request.ends_with("Bearer secret")), "{asked:?}");
    for unwanted in ["README", "ckpt", "pruned", "safety_checker", ".bin", "vae/diffusion_pytorch_model.safetensors"] {
        assert!(!asked.iter().any(|request| request.contains(unwanted)), "{unwanted} in {asked:?}");
    }
    assert!(asked.iter().any(|request| request.contains(&format!("{} bytes={half}- ", stored::UNET))), "{asked:?}");
    for name in ["tokenizer/vocab.json", stored::UNET, "vae/diffusion_pytorch_model.fp16.safetensors"] {
        assert_eq!(fs::read(snapshot(path).join(name)).expect(name), repository()[name], "{name}");
    }
    assert!(said(&output).contains("fetching unet/config.json"), "{}", said(&output));

    // All of it is there.
    let output = mask(path, &hub, "owner/model", &[("HF_HUB_OFFLINE", "1")]);
    assert!(output.status.success(), "{}", said(&output));
    let output = mask(path, &hub, &format!("owner/model@{COMMIT}"), &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(hub.asked(), Vec::<String>::new());

    // What is lost is fetched again, and nothing else.
    fs::remove_file(snapshot(path).join(stored::TEXT)).expect("part of the model");
    let output = mask(path, &hub, "owner/model", &[]);
    assert!(output.status.success(), "{}", said(&output));
    let asked = hub.asked();
    let files = asked.iter().filter(|request| request.contains("resolve") && !request.contains(stored::TEXT));
    assert_eq!(files.count(), 0, "{asked:?}");
}
