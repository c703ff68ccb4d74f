//! Masks equal OpenCV's and SciPy's (goldens by `tools/goldens.py`), and survive files.

mod goldens;

use std::path::Path;

use diffedit::edit::MaskSettings;
use diffedit::mask::{Map, Mask, gaussian_kernel_fixed};
use diffedit::picture::{Placement, Resize};
use diffedit::{Error, Result};
use goldens::Goldens;
use image::{DynamicImage, GrayAlphaImage, GrayImage, Luma, LumaA};

/// The odd sizes of blur for which there are goldens.
fn sizes() -> impl Iterator<Item = usize> {
    (3..=31).step_by(2)
}

/// Names and masks of the goldens.
fn masks(goldens: &Goldens) -> Vec<(String, Mask)> {
    let names: Vec<String> =
        goldens.names_after("").iter().filter_map(|name| name.strip_suffix(".mask")).map(str::to_owned).collect();
    assert_eq!(names.len(), 27);
    let mask = |name: String| {
        let file_name = format!("{name}.mask");
        let [height, width] = goldens.shape(&file_name)[..] else { panic!("{name} has two dimensions") };
        let mask = Mask::new(width, height, goldens.u8(&file_name)).expect("a mask");
        (name, mask)
    };
    names.into_iter().map(mask).collect()
}

#[test]
fn kernel_is_opencvs() {
    let goldens = Goldens::open("mask");
    for size in sizes() {
        let kernel: Vec<i32> = gaussian_kernel_fixed(size).into_iter().map(i32::from).collect();
        assert_eq!(kernel, goldens.i32(&format!("kernel.{size}")), "size {size}");
    }
}

#[test]
fn blur_is_opencvs() -> Result<()> {
    let goldens = Goldens::open("mask");
    for (name, mask) in masks(&goldens) {
        let expected = goldens.u8(&format!("{name}.blurred"));
        for (size, expected) in sizes().zip(expected.chunks_exact(mask.cells().len())) {
            assert_eq!(mask.blur(size)?.cells(), expected, "{name}, size {size}");
        }
    }
    Ok(())
}

#[test]
fn dilating_blur_is_opencvs_in_floats() -> Result<()> {
    let goldens = Goldens::open("mask");
    for (name, mask) in masks(&goldens) {
        let expected = goldens.u8(&format!("{name}.dilated"));
        for (size, expected) in sizes().zip(expected.chunks_exact(mask.cells().len())) {
            let dilated = mask.blur_dilating(size)?;
            // 2 marks a cell so near the limit that rounding decides.
            let agree =
                dilated.cells().iter().zip(expected).all(|(cell, &expected)| expected == 2 || *cell == expected);
            assert!(agree, "{name}, size {size}: {:?} is not {expected:?}", dilated.cells());
        }
    }
    Ok(())
}

#[test]
fn filled_holes_are_scipys() {
    let goldens = Goldens::open("mask");
    for (name, mask) in masks(&goldens) {
        assert_eq!(mask.fill_holes().cells(), goldens.u8(&format!("{name}.filled")), "{name}");
    }
}

#[test]
fn blur_of_0_or_1_changes_nothing_and_even_sizes_are_refused() -> Result<()> {
    let mask = Mask::new(3, 1, vec![0, 1, 0])?;
    for size in [0, 1] {
        assert_eq!(mask.blur(size)?, mask);
        assert_eq!(mask.blur_dilating(size)?, mask);
    }
    for size in [2, 8, 257] {
        assert!(matches!(mask.blur(size), Err(Error::Request(message)) if message.starts_with("blur: ")));
        assert!(matches!(mask.blur_dilating(size), Err(Error::Request(message)) if message.starts_with("blur: ")));
    }
    Ok(())
}

#[test]
fn lone_cells_vanish_lone_holes_close_and_dilation_widens() -> Result<()> {
    let mut cells = vec![0; 81];
    cells[40] = 1;
    let dot = Mask::new(9, 9, cells)?;
    assert_eq!(dot.blur(7)?.coverage(), 0.0);
    assert!(dot.blur_dilating(3)?.coverage() > dot.coverage());
    let hole = Mask::new(9, 9, dot.cells().iter().map(|cell| 1 - cell).collect())?;
    assert_eq!(hole.blur(7)?.coverage(), 1.0);
    assert_eq!(hole.fill_holes().coverage(), 1.0);
    Ok(())
}

#[test]
fn masks_of_edits_follow_from_their_maps() -> Result<()> {
    for case in goldens::cases() {
        let tensors = Goldens::open(&case.name);
        let [height, width] = tensors.shape("map")[..] else { panic!("a map has two dimensions") };
        let map = Map::new(width, height, tensors.f32("map"))?;
        assert_eq!(map.threshold(case.threshold).cells(), tensors.u8("mask.threshold"), "{}", case.name);
        assert_eq!(case.mask_settings().cut(&map)?.cells(), tensors.u8("mask"), "{}", case.name);
    }
    Ok(())
}

#[test]
fn masks_are_blurred_then_filled_then_grown() -> Result<()> {
    let map = |inside: fn(i32, i32) -> bool| {
        let value = |index: i32| f32::from(u8::from(inside(index % 21 - 10, index / 21 - 10)));
        Map::new(21, 21, (0..441).map(value).collect())
    };
    // The blur wipes a thin ring out, so that it has no hole to fill; of a thick one it leaves enough.
    let thin = map(|x, y| x.abs().max(y.abs()) == 6)?;
    let thick = map(|x, y| (2..=6).contains(&x.abs().max(y.abs())))?;
    let mut settings = MaskSettings { threshold: 0.5, blur: 7, fill_holes: true, dilate: 0 };
    assert_eq!(settings.cut(&thin)?.coverage(), 0.0);
    let filled = settings.cut(&thick)?;
    assert_eq!(filled.cells()[10 * 21 + 10], 1);
    settings.dilate = 1;
    assert_eq!(settings.cut(&thick)?, filled.dilate(1)?);
    assert_ne!(settings.cut(&thick)?, filled);
    settings.dilate = 65;
    assert!(settings.cut(&thick).is_err());
    assert_eq!(settings.to_string(), "threshold 0.5, blur 7, holes filled, dilated by 65");
    Ok(())
}

#[test]
fn threshold_excludes_its_own_value() -> Result<()> {
    let map = Map::new(3, 1, vec![0.0, 0.25, 0.250_001])?;
    assert_eq!(map.threshold(0.25).cells(), [0, 0, 1]);
    Ok(())
}

#[test]
fn normalising_spans_0_to_1_and_flat_differences_are_nothing() -> Result<()> {
    assert_eq!(Map::normalise(2, 2, &[3.0, 5.0, 4.0, 3.5])?.values(), [0.0, 1.0, 0.5, 0.25]);
    assert_eq!(Map::normalise(2, 1, &[7.0, 7.0])?.values(), [0.0, 0.0]);
    assert!(Map::normalise(2, 1, &[7.0, f32::NAN]).is_err());
    Ok(())
}

#[test]
fn wrong_values_and_sizes_are_refused() {
    for (width, height, values) in
        [(2, 1, vec![0.5]), (0, 0, vec![]), (1, 1, vec![1.5]), (1, 1, vec![f32::NAN]), (usize::MAX, 2, vec![0.5])]
    {
        let refused = Map::new(width, height, values);
        assert!(matches!(refused, Err(Error::Shape { .. })), "{refused:?}");
    }
    assert!(matches!(Mask::new(1, 1, vec![2]), Err(Error::Shape { .. })));
}

#[test]
fn masks_survive_png_at_every_multiple() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, mask) in masks(&Goldens::open("mask")) {
        for multiple in [1, 3, 8] {
            let path = folder.path().join(format!("{name}.{multiple}.png"));
            mask.save(&path, mask.width() * multiple, mask.height() * multiple)?;
            assert_eq!(Mask::load(&path, mask.width(), mask.height())?, mask, "{name}, times {multiple}");
        }
    }
    Ok(())
}

#[test]
fn masks_of_other_sizes_go_by_area() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mask.png");
    // Five pixels to two cells: each cell covers two and a half.
    let mut line = GrayImage::new(5, 1);
    line.put_pixel(1, 0, Luma([255]));
    line.put_pixel(2, 0, Luma([255]));
    save(&line.clone().into(), &path);
    assert_eq!(Mask::load(&path, 2, 1)?.cells(), [1, 0]);
    // Four pixels of a quarter white do not make half a cell; transparent white is not white.
    let greys = GrayImage::from_pixel(4, 1, Luma([64]));
    save(&greys.into(), &path);
    assert_eq!(Mask::load(&path, 1, 1)?.cells(), [0]);
    let glass = GrayAlphaImage::from_pixel(1, 1, LumaA([255, 0]));
    save(&glass.into(), &path);
    assert_eq!(Mask::load(&path, 2, 2)?.cells(), [0; 4]);
    Ok(())
}

/// Drawn over the picture at its own size, and read back through the same placement.
#[test]
fn masks_survive_the_picture_they_lie_on() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mask.png");
    for (picture, canvas) in [((333, 200), (128, 72)), ((640, 641), (64, 128)), ((72, 104), (72, 104))] {
        let (columns, rows) = (canvas.0 as usize / 8, canvas.1 as usize / 8);
        for resize in [Resize::Stretch, Resize::Fit, Resize::Fill] {
            let placement = Placement::new(picture, canvas, resize);
            let [left, top, width, height] = placement.frame().map(|side| side as usize);
            // Cells whose middle lies beside the picture show nothing of it.
            let shown = |x: usize, y: usize| {
                (left..left + width).contains(&(8 * x + 4)) && (top..top + height).contains(&(8 * y + 4))
            };
            let cell = |index: usize| {
                let (x, y) = (index % columns, index / columns);
                u8::from(shown(x, y) && (index * 7 + y * 3) % 5 < 2)
            };
            let mask = Mask::new(columns, rows, (0..columns * rows).map(cell).collect())?;
            save(&placement.mask_picture(&mask).into(), &path);
            let read = Mask::load_placed(&path, &placement, columns, rows)?;
            for (index, (read, cell)) in read.cells().iter().zip(mask.cells()).enumerate() {
                let (x, y) = (index % columns, index / columns);
                assert!(read == cell || !shown(x, y), "{picture:?} {resize}: cell {x}, {y}");
            }
        }
    }
    Ok(())
}

/// A mask of any size stands for the whole picture: its right half is the right half of what the canvas shows.
#[test]
fn masks_of_any_size_go_through_the_placement() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mask.png");
    save(&GrayImage::from_fn(10, 2, |x, _| Luma([if x < 5 { 0 } else { 255 }])).into(), &path);
    let row = |picture, resize| {
        let placement = Placement::new(picture, (64, 64), resize);
        Mask::load_placed(&path, &placement, 8, 8).map(|mask| mask.cells()[24..32].to_vec())
    };
    assert_eq!(row((300, 100), Resize::Stretch)?, [0, 0, 0, 0, 1, 1, 1, 1]);
    assert_eq!(row((300, 100), Resize::Fill)?, [0, 0, 0, 0, 1, 1, 1, 1]);
    assert_eq!(row((100, 300), Resize::Fit)?, [0, 0, 0, 0, 1, 1, 0, 0]);
    // Wholly inside the white half.
    save(&GrayImage::from_fn(10, 2, |x, _| Luma([if x < 2 { 0 } else { 255 }])).into(), &path);
    assert_eq!(row((300, 100), Resize::Fill)?, [1; 8]);
    Ok(())
}

#[test]
fn maps_survive_npy_exactly_and_png_to_16_bits() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let values: Vec<f32> = (0..35).map(|index| (index as f32 / 34.0).powi(2)).collect();
    let map = Map::new(7, 5, values)?;
    let npy = folder.path().join("map.npy");
    map.save(&npy)?;
    assert_eq!(Map::load(&npy)?, map);
    let png = folder.path().join("map.png");
    map.save(&png)?;
    let loaded = Map::load(&png)?;
    for (loaded, value) in loaded.values().iter().zip(map.values()) {
        let error = (loaded - value).abs();
        assert!(error <= 0.5 / 65535.0 + 1e-7, "{loaded} is not {value}");
    }
    Ok(())
}

#[test]
fn eight_bit_maps_are_read() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("map.png");
    save(&GrayImage::from_raw(3, 1, vec![0, 51, 255]).expect("three pixels").into(), &path);
    assert_eq!(Map::load(&path)?.values(), [0.0, 0.2, 1.0]);
    Ok(())
}

#[test]
fn numpys_own_files_are_read() -> Result<()> {
    // np.save of np.array([[0, .25, .5], [.75, 1, 0]]) as <f8, with columns first and a leading dimension of 1.
    let header = "{'descr': '<f8', 'fortran_order': True, 'shape': (1, 2, 3), }";
    let values = [0.0, 0.75, 0.25, 1.0, 0.5, 0.0_f64].map(f64::to_le_bytes).concat();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("map.npy");
    std::fs::write(&path, npy(header, &values)).expect("a file");
    let map = Map::load(&path)?;
    assert_eq!((map.width(), map.height()), (3, 2));
    assert_eq!(map.values(), [0.0, 0.25, 0.5, 0.75, 1.0, 0.0]);
    Ok(())
}

#[test]
fn files_without_a_map_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }";
    let whole = npy(good, &0.5_f32.to_le_bytes());
    let cases = [
        whole[..20].to_vec(),
        whole[..whole.len() - 1].to_vec(),
        npy(good, &2.0_f32.to_le_bytes()),
        npy(good, &f32::NAN.to_le_bytes()),
        npy(&good.replace("f4", "i4"), &[0; 4]),
        npy(&good.replace("(1, 1)", "(2, 2, 2)"), &[0; 32]),
        npy(&good.replace("(1, 1)", "(99999999999, 99999999999)"), &[0; 4]),
        npy("{}", &[]),
        b"no map at all".to_vec(),
    ];
    for (index, bytes) in cases.into_iter().enumerate() {
        for name in ["map.npy", "map.png"] {
            let path = folder.path().join(name);
            std::fs::write(&path, &bytes).expect("a file");
            let refused = Map::load(&path);
            assert!(matches!(refused, Err(Error::Picture { .. })), "case {index} as {name}: {refused:?}");
        }
    }
    assert!(matches!(Map::load(Path::new("nowhere.npy")), Err(Error::File { .. })));
    assert!(matches!(Mask::load(Path::new("nowhere.png"), 1, 1), Err(Error::File { .. })));
}

#[test]
fn a_failed_save_leaves_nothing_behind() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = folder.path().join("taken.png");
    std::fs::create_dir(&taken).expect("a folder in the way");
    let mask = Mask::new(1, 1, vec![1])?;
    assert!(matches!(mask.save(&taken, 8, 8), Err(Error::File { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    Ok(())
}

#[test]
fn masks_without_cells_or_pixels_are_refused() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mask.png");
    let mask = Mask::new(1, 1, vec![1])?;
    mask.save(&path, 8, 8)?;
    for (width, height) in [(0, 8), (8, 0), (1 << 32, 8)] {
        assert!(matches!(Mask::load(&path, width, height), Err(Error::Shape { .. })), "{width}x{height}");
        assert!(matches!(mask.save(&path, width, height), Err(Error::Shape { .. })), "{width}x{height}");
    }
    Ok(())
}

/// The bytes of a version 1 `.npy` file.
fn npy(header: &str, values: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes(), values].concat()
}

fn save(picture: &DynamicImage, path: &Path) {
    picture.save(path).expect("a picture");
}
