#!/usr/bin/env bash
# Trains the bundled model anew, from ImageNet weights to the adapter (about 4 hours on two cores):
#   bash models/train.sh DATA WORK
# DATA: a folder with odir5k/, eye4/ and medquad_eye/. WORK: where the stages go; the last one,
# WORK/adapter, is the model. Stopped? The same command goes on.
set -euo pipefail
data="$(cd "$1" && pwd)"
mkdir -p "$2" && cd "$2"
photographs=("$data/odir5k" "$data/eye4")

[ -d effnet ] || ophglm train-encoder "${photographs[@]}" --out effnet \
    --architecture tf_efficientnet_lite0 --pretrained --epochs 8 --patience 8
[ -d encoder ] || ophglm train-encoder "${photographs[@]}" --out encoder --from effnet \
    --architecture tf_efficientnet_lite0 --size 320 --epochs 3 --learning-rate 4e-4

[ -f vqa.jsonl ] || ophglm build-vqa "${photographs[@]}" --out vqa.jsonl
[ -d fusion ] || ophglm train-fusion encoder vqa.jsonl --out fusion \
    --head-epochs 3 --epochs 5 --samples 6000 --learning-rate 1e-3

[ -d texts ] || ophglm build-instructions --questions "$data"/medquad_eye/*.jsonl --out texts
[ -d adapter ] || ophglm sft fusion texts --out adapter \
    --photographs "$data/odir5k" --photographs "$data/eye4" --epochs 2 --samples 640
