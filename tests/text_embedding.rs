//! The sum of token and position embeddings, to the bit.

mod support;

use diffedit::Error;
use diffedit::ops::text_embedding::TextEmbedding;
use diffedit::plan::{DType, Plan};
use half::f16;
use support::{Random, device, run_for, upload};

const VOCABULARY: usize = 50;
const ROWS: usize = 11;

#[test]
fn adds_positions_to_the_rows_of_the_table() {
    for (batch, columns) in [(1, 768), (2, 40), (3, 8)] {
        let mut random = Random::new(4);
        let (tokens, positions) = (random.halves(VOCABULARY * columns, 1.0), random.halves(13 * columns, 1.0));
        let mut ids: Vec<i32> = (0..batch * ROWS).map(|_| (random.next() % VOCABULARY as u64) as i32).collect();
        ids[0] = VOCABULARY as i32 - 1;
        let expected: Vec<f32> = (0..batch * ROWS * columns)
            .map(|index| {
                let (row, column) = (index / columns, index % columns);
                let token = tokens[ids[row] as usize * columns + column].to_f32();
                f16::from_f32(token + positions[row % ROWS * columns + column].to_f32()).to_f32()
            })
            .collect();

        let mut plan = Plan::new(device().capabilities());
        let embedding = TextEmbedding {
            ids: &device().upload(DType::I32, &[batch, ROWS], &ids).expect("an upload"),
            tokens: &upload(&[VOCABULARY, columns], &tokens),
            positions: &upload(&[13, columns], &positions),
        };
        let output = embedding.record(&mut plan).expect("the shapes fit");
        assert!(run_for(&mut plan, &output) == expected, "batch {batch}, {columns} channels");
    }
}

#[test]
fn more_rows_than_positions_are_refused() {
    let table = upload(&[10, 8], &[f16::ZERO; 80]);
    let ids = device().upload(DType::I32, &[1, 11], &[0i32; 11]).expect("an upload");
    let result =
        TextEmbedding { ids: &ids, tokens: &table, positions: &table }.record(&mut Plan::new(device().capabilities()));
    assert!(matches!(result, Err(Error::Shape { op: "text_embedding", .. })));
}
