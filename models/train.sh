#!/usr/bin/env bash
# Trains the bundled model anew, from ImageNet weights to the heads (about 5 hours on two cores):
#   bash models/train.sh DATA WORK
# DATA: a folder with odir5k/, eye4/, aptos2019/, idrid/ and medquad_eye/. WORK: where the stages go;
# the last one, WORK/model, is the model. Stopped? The same command goes on.
set -euo pipefail
data="$(cd "$1" && pwd)"
mkdir -p "$2" && cd "$2"
photographs=("$data/odir5k" "$data/eye4")
graded=("$data/aptos2019" "$data/idrid")
six=()
for label in normal dr amd glaucoma myopia cataract; do six+=(--label "$label"); done

[ -d effnet ] || ophglm train-encoder "${photographs[@]}" --out effnet "${six[@]}" \
    --architecture tf_efficientnet_lite0 --pretrained --epochs 8 --patience 8
[ -d encoder ] || ophglm train-encoder "${photographs[@]}" --out encoder "${six[@]}" --from effnet \
    --size 320 --epochs 3 --learning-rate 4e-4

[ -f vqa.jsonl ] || ophglm build-vqa "${photographs[@]}" "${six[@]}" --out vqa.jsonl
[ -d fusion ] || ophglm train-fusion encoder vqa.jsonl --out fusion \
    --head-epochs 3 --epochs 5 --samples 6000 --learning-rate 1e-3

[ -d texts ] || ophglm build-instructions --questions "$data"/medquad_eye/*.jsonl --out texts
[ -d adapter ] || ophglm sft fusion texts --out adapter \
    --photographs "$data/odir5k" --photographs "$data/eye4" --epochs 2 --samples 640

# All that sees the photograph stays as it is: the fusion module and the adapter stay valid.
[ -d model ] || ophglm train-encoder "${photographs[@]}" "${graded[@]}" --out model --from adapter \
    --heads-only --epochs 24 --patience 8 --learning-rate 3e-4
ophglm evaluate model "${photographs[@]}" "${graded[@]}" --part test \
    --boxes "$data/idrid/boxes.csv" --keep
ophglm evaluate --vqa model vqa.jsonl --part test --limit 40 --keep
