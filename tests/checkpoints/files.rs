//! Malformed files: safetensors that lie, other files in their place, indices of shards.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use super::corpus::{Case, folder, single};
use super::stored::{Tensors, UNET, VAE, demo, remove, replace, write_shards};

/// A tensor of the VAE that is the first of its file, and one that is not.
const FIRST: &str = "decoder.conv_in.bias";
const OTHER: &str = "decoder.conv_in.weight";

/// A safetensors file of this header, as it stands, and these bytes.
fn raw(header: &[u8], data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header, data].concat()
}

/// Header and data of the miniature's VAE.
fn parts() -> (Value, Vec<u8>) {
    let bytes = fs::read(demo().join(VAE)).expect("part of the miniature");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    (serde_json::from_slice(&bytes[8..8 + length]).expect("JSON"), bytes[8 + length..].to_vec())
}

/// A case that puts other bytes in the VAE's place.
fn vae(name: &'static str, words: &'static [&'static str], bytes: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Case {
    folder(name, words, move |path| {
        let whole = fs::read(demo().join(VAE)).expect("part of the miniature");
        replace(&path.join(VAE), &bytes(&whole));
    })
}

/// A case that changes the VAE's header and leaves its data.
fn header(name: &'static str, words: &'static [&'static str], change: impl Fn(&mut Value) + 'static) -> Case {
    vae(name, words, move |_| {
        let (mut header, data) = parts();
        change(&mut header);
        raw(header.to_string().as_bytes(), &data)
    })
}

/// A case whose VAE begins with these bytes.
fn other(name: &'static str, words: &'static [&'static str], start: &'static [u8]) -> Case {
    vae(name, words, move |_| [start, &[7; 5000]].concat())
}

pub fn cases() -> Vec<Case> {
    [lengths(), headers(), foreign(), shards(), places()].into_iter().flatten().collect()
}

/// Files that are too short or too long, or whose headers are.
fn lengths() -> Vec<Case> {
    let with_length = |length: u64| move |whole: &[u8]| [&length.to_le_bytes(), &whole[8..]].concat();
    let of_header = parts().0.to_string().len() as u64;
    vec![
        vae("an empty file", &["vae/diffusion_pytorch_model.safetensors", "is empty"], |_| Vec::new()),
        vae("seven bytes", &["too short"], |_| vec![1; 7]),
        vae("cut in its header", &["cut short", "download it again"], |whole| whole[..1000].to_vec()),
        vae("cut behind its header", &["cut short"], move |whole| whole[..whole.len() / 50].to_vec()),
        vae("cut in its data", &["cut short", "header speaks of"], |whole| whole[..whole.len() / 2].to_vec()),
        vae("cut by a byte", &["cut short"], |whole| whole[..whole.len() - 1].to_vec()),
        vae("longer by a byte", &["1 bytes follow"], |whole| [whole, b"x"].concat()),
        vae("a header of 2^64 - 1 bytes", &["header would have"], with_length(u64::MAX)),
        vae("a header of 2^63 bytes", &["header would have"], with_length(1 << 63)),
        vae("a header of a gigabyte", &["header would have"], with_length(1 << 30)),
        vae("a header of ten megabytes", &["cut short"], with_length(10 << 20)),
        vae("a header of no bytes", &["header cannot be read"], with_length(0)),
        vae("a header one byte short", &["header cannot be read"], with_length(of_header - 1)),
        single("a single file that is cut", &["model.safetensors", "cut short"], || {
            let whole = super::stored::single_file().bytes();
            whole[..whole.len() / 3].to_vec()
        }),
    ]
}

/// Headers that are whole, and wrong.
fn headers() -> Vec<Case> {
    let entry = |value: Value| move |header: &mut Value| header[OTHER] = value.clone();
    let offsets = |begin: u64, end: u64| move |header: &mut Value| header[OTHER]["data_offsets"] = json!([begin, end]);
    let shape = |shape: Value| move |header: &mut Value| header[OTHER]["shape"] = shape.clone();
    vec![
        vae("a header that is no JSON", &["header cannot be read"], |_| raw(&[b'x'; 64], &[0; 64])),
        vae("a header that is no UTF-8", &["header cannot be read"], |_| {
            raw(&[b'{', b'"', 0xFF, 0xFE, b'"', b'}'], &[])
        }),
        vae("a header that is a list", &["header cannot be read", "object of tensors"], |_| raw(b"[1, 2]", &[])),
        vae("a header of a million brackets", &["header cannot be read"], |_| {
            raw(&[&br#"{"__metadata__":"#[..], &[b'['; 1 << 20]].concat(), &[])
        }),
        vae("a name twice", &["there twice", "a.weight"], |_| {
            let entry = r#""a.weight":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}"#;
            raw(format!("{{{entry},{entry}}}").as_bytes(), &[0; 4])
        }),
        vae("no tensors", &["184 missing", "not the weights of a VAE"], |_| raw(br#"{"__metadata__":{"a":"b"}}"#, &[])),
        header("overlapping tensors", &["overlaps"], |header| {
            let [begin, end] = [0, 1].map(|index| header[OTHER]["data_offsets"][index].as_u64().expect("a number"));
            header[OTHER]["data_offsets"] = json!([begin - 2, end - 2]);
        }),
        header("a gap between tensors", &["gap"], |header| {
            header.as_object_mut().expect("an object").remove(OTHER);
        }),
        header("two tensors over the same bytes", &["overlaps"], |header| header["twin"] = header[FIRST].clone()),
        header("a tensor beyond the end", &["damaged"], offsets(1 << 40, (1 << 40) + 2)),
        header("a tensor that ends before it begins", &["does not fill", OTHER], offsets(100, 50)),
        header("offsets of 2^64 - 1", &["does not fill"], offsets(u64::MAX - 1, u64::MAX)),
        header("an absurd shape", &["does not fill"], shape(json!([1_u64 << 40, 1 << 20]))),
        header("a shape whose product overflows", &["does not fill"], shape(json!([u64::MAX, u64::MAX, 3]))),
        header("a shape of a negative dimension", &["header cannot be read", OTHER], shape(json!([-3, 4]))),
        header("a shape of a fraction", &["header cannot be read"], shape(json!([1.5]))),
        header("a shape beyond 64 bits", &["header cannot be read"], shape(json!([1e30]))),
        header("a shape that is no list", &["header cannot be read"], shape(json!("16"))),
        header("an unknown type", &["header cannot be read", "F17"], |header| header[OTHER]["dtype"] = json!("F17")),
        header("a wider type than the bytes", &["does not fill"], |header| header[OTHER]["dtype"] = json!("F32")),
        header("three offsets", &["header cannot be read"], |header| header[OTHER]["data_offsets"] = json!([0, 1, 2])),
        header("an entry without a shape", &["shape"], entry(json!({ "dtype": "F16", "data_offsets": [0, 4] }))),
        header("an entry that is null", &["header cannot be read", OTHER], entry(Value::Null)),
    ]
}

/// Other files in a safetensors file's place.
fn foreign() -> Vec<Case> {
    vec![
        other("a pickle", &["is a pickle", "whatever code", "diffusers"], b"\x80\x02}q\x00X\x05\x00\x00\x00"),
        other("a checkpoint of torch.save", &["is a pickle"], b"PK\x03\x04\0\0\x08\x08archive/data.pklFB\x0D\0"),
        other("a zip archive", &["zip archive"], b"PK\x03\x04\x14\0\0\0readme.txt"),
        other("a web page", &["web page", "download it again"], b"<!DOCTYPE html><html><head><title>Sign in</title>"),
        other("a page of an error", &["web page"], b"\n <html><body>404</body></html>"),
        other("an answer in JSON", &["JSON file"], br#"{"error":"Repository not found"}"#),
        other(
            "a pointer of Git LFS",
            &["Git LFS", "git lfs pull"],
            b"version https://git-lfs.github.com/spec/v1\noid sha256:",
        ),
        other("a JPEG", &["is a picture"], b"\xFF\xD8\xFF\xE0\0\x10JFIF"),
        other("a GGUF file", &["GGUF"], b"GGUF\x03\0\0\0"),
        other("a file packed with gzip", &["gzip"], b"\x1F\x8B\x08\0\0\0\0\0"),
        other("nothing known", &["no safetensors file"], b"\x07\x07\x07\x07\x07\x07\x07\x07"),
        folder("a picture renamed", &["is a picture"], |path| {
            let picture = fs::read(demo().join("scenes/0-horse-grass.png")).expect("a picture");
            replace(&path.join(UNET), &picture);
        }),
        Case {
            damage: Box::new(|path| {
                let file = path.join("v1-5-pruned-emaonly.ckpt");
                fs::write(&file, b"PK\x03\x04").expect("a file");
                file
            }),
            ..folder("a .ckpt", &["v1-5-pruned-emaonly.ckpt", "is a pickle", ".safetensors"], |_| ())
        },
        folder("pickles alone", &["diffusion_pytorch_model.bin is a pickle", "safe_serialization"], |path| {
            remove(&path.join(UNET));
            fs::write(path.join("unet/diffusion_pytorch_model.bin"), b"PK\x03\x04").expect("a file");
        }),
    ]
}

/// Indices of shards that lie, and shards that are not there.
fn shards() -> Vec<Case> {
    let sharded = |change: fn(&Path)| {
        move |path: &Path| {
            remove(&path.join(VAE));
            write_shards(&Tensors::of_demo(VAE), &path.join("vae"), "diffusion_pytorch_model", 3);
            change(&path.join("vae"));
        }
    };
    fn index(folder: &Path) -> std::path::PathBuf {
        folder.join("diffusion_pytorch_model.safetensors.index.json")
    }
    fn change_index(folder: &Path, change: impl Fn(&mut Value)) {
        let mut value: Value = serde_json::from_slice(&fs::read(index(folder)).expect("an index")).expect("JSON");
        change(&mut value);
        fs::write(index(folder), value.to_string()).expect("a file");
    }
    vec![
        folder(
            "an index that is no JSON",
            &["index.json", "no index of shards"],
            sharded(|folder| {
                fs::write(index(folder), "{").expect("a file");
            }),
        ),
        folder(
            "an index without a map",
            &["no index of shards", "weight_map"],
            sharded(|folder| {
                fs::write(index(folder), "{}").expect("a file");
            }),
        ),
        folder(
            "a shard missing",
            &["shards that are missing", "00002-of-00003"],
            sharded(|folder| {
                remove(&folder.join("diffusion_pytorch_model-00002-of-00003.safetensors"));
            }),
        ),
        folder(
            "a shard cut short",
            &["00003-of-00003", "cut short"],
            sharded(|folder| {
                let path = folder.join("diffusion_pytorch_model-00003-of-00003.safetensors");
                let whole = fs::read(&path).expect("a shard");
                fs::write(&path, &whole[..whole.len() - 100]).expect("a file");
            }),
        ),
        folder(
            "a tensor that its shard lacks",
            &["1 tensors that their shards lack", OTHER],
            sharded(|folder| {
                change_index(folder, |value| {
                    value["weight_map"][OTHER] = json!("diffusion_pytorch_model-00001-of-00003.safetensors");
                });
            }),
        ),
        folder(
            "a tensor that the index lacks",
            &["1 missing", OTHER],
            sharded(|folder| {
                change_index(folder, |value| {
                    value["weight_map"].as_object_mut().expect("a map").remove(OTHER);
                });
            }),
        ),
        folder(
            "a shard in another folder",
            &["not a file of its folder"],
            sharded(|folder| {
                change_index(folder, |value| value["weight_map"][OTHER] = json!("../unet/x.safetensors"));
            }),
        ),
        folder(
            "a shard by its whole path",
            &["not a file of its folder"],
            sharded(|folder| {
                change_index(folder, |value| value["weight_map"][OTHER] = json!("/etc/passwd"));
            }),
        ),
    ]
}

/// What is no file where one should be.
fn places() -> Vec<Case> {
    vec![
        folder("a folder in a file's place", &["is a folder"], |path| {
            remove(&path.join(VAE));
            fs::create_dir(path.join(VAE)).expect("a folder");
        }),
        folder("a loop of links", &["diffusion_pytorch_model.safetensors", "symbolic links"], |path| {
            remove(&path.join(VAE));
            symlink(path.join(VAE), path.join(VAE)).expect("a link");
        }),
        folder("a link to nothing", &["diffusion_pytorch_model.safetensors", "No such file"], |path| {
            remove(&path.join(VAE));
            symlink(path.join("nowhere"), path.join(VAE)).expect("a link");
        }),
        folder("a device in a file's place", &["neither a file nor a folder"], |path| {
            remove(&path.join(VAE));
            symlink("/dev/zero", path.join(VAE)).expect("a link");
        }),
        folder("a device in a config's place", &["unet/config.json", "is no file"], |path| {
            remove(&path.join("unet/config.json"));
            symlink("/dev/zero", path.join("unet/config.json")).expect("a link");
        }),
        folder("a config of a hundred gigabytes", &["unet/config.json", "too long"], |path| {
            replace(&path.join("unet/config.json"), b"{");
            let file = fs::File::options().write(true).open(path.join("unet/config.json")).expect("a file");
            file.set_len(100 << 30).expect("a sparse file");
        }),
        folder("weights missing", &[VAE, "is missing", ".fp16"], |path| remove(&path.join(VAE))),
        folder("an empty folder", &["not a model in diffusers' layout", "unet"], |path| {
            fs::remove_dir_all(path).expect("it is removed");
            fs::create_dir(path).expect("a folder");
        }),
        folder("no such folder", &["no such folder or file"], |path| fs::remove_dir_all(path).expect("it is removed")),
        folder("a folder of a single file", &["give the file", "sd15.safetensors"], |path| {
            fs::remove_dir_all(path).expect("it is removed");
            fs::create_dir(path).expect("a folder");
            fs::write(path.join("sd15.safetensors"), b"").expect("a file");
        }),
    ]
}
