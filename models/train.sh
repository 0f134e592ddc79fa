#!/usr/bin/env bash
# Trains the bundled model anew, from ImageNet weights to the heads (about 8 hours on two cores):
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
    --photographs "$data/odir5k" --photographs "$data/eye4" --epochs 2 --samples 400 \
    --batch-size 8 --gradient-accumulation-steps 2

# All that sees the photograph stays as it is: the fusion module and the adapter stay valid.
sets=("${photographs[@]}" "${graded[@]}")
[ -d heads ] || ophglm train-encoder "${sets[@]}" --out heads --from adapter \
    --heads-only --epochs 24 --patience 8 --learning-rate 3e-4

# IDRiD as another hospital's photographs: heads on the same network that have seen nothing of it.
seen=("${photographs[@]}" "$data/aptos2019")
[ -d outside ] || ophglm train-encoder "${seen[@]}" --out outside \
    --from encoder --heads-only --epochs 24 --patience 8 --learning-rate 3e-4
ophglm evaluate outside "$data/idrid"
# The same with a second network beside it.
[ -d outside-second ] || ophglm train-encoder "${seen[@]}" --out outside-second --from outside --freeze 3 \
    --size 320 --first-size 256 --epochs 4 --learning-rate 3e-4 --validation 0.1 --test 0.1
[ -d outside-both ] || ophglm train-encoder "${seen[@]}" --out outside-both --from outside \
    --beside outside-second --heads-only --epochs 0 --views 1 --validation 0.1 --test 0.1
ophglm evaluate outside-both "$data/idrid"

# A second network, its later blocks taught by more of the patients and at the size of small lesions,
# beside the first: measured on the tenth of the patients that neither has seen.
[ -d second ] || ophglm train-encoder "${sets[@]}" --out second --from heads --freeze 3 \
    --size 320 --first-size 256 --epochs 4 --learning-rate 3e-4 --validation 0.1 --test 0.1
[ -d both ] || ophglm train-encoder "${sets[@]}" --out both --from heads --beside second \
    --heads-only --epochs 0 --views 1 --validation 0.1 --test 0.1
ophglm evaluate both "${sets[@]}" --part test --boxes "$data/idrid/boxes.csv" --keep
ophglm evaluate --vqa both vqa.jsonl --part test --limit 40 --keep

# The second one then learns from all patients; thresholds and figures are those of `both`.
[ -d second-all ] || ophglm train-encoder "${sets[@]}" --out second-all --from second --freeze 3 \
    --size 320 --epochs 1 --learning-rate 2e-4 --measured second
[ -d model ] || ophglm train-encoder "${sets[@]}" --out model --from heads --beside second-all \
    --heads-only --epochs 0 --views 1 --measured both
