#!/usr/bin/env bash
# Trains the bundled model anew, from ImageNet weights to the heads (about 4 hours on two cores with bf16):
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

# The heads: ODIR's eight, the grade, macular oedema.
sets=("${photographs[@]}" "${graded[@]}")
[ -d heads ] || ophglm train-encoder "${sets[@]}" --out heads --from encoder \
    --heads-only --epochs 24 --patience 8 --learning-rate 3e-4

# The later blocks, by more of the patients and under noise; measured on the tenth that nothing of it
# has seen. Thresholds come from another tenth.
part=(--freeze 3 --size 320 --views 1 --validation 0.1 --test 0.1)
[ -d network ] || ophglm train-encoder "${sets[@]}" --out network --from heads "${part[@]}" \
    --first-size 256 --epochs 4 --learning-rate 3e-4
[ -d finer ] || ophglm train-encoder "${sets[@]}" --out finer --from network "${part[@]}" \
    --epochs 3 --learning-rate 2e-4
ophglm evaluate finer "${sets[@]}" --part test --boxes "$data/idrid/boxes.csv" --keep

[ -f vqa.jsonl ] || ophglm build-vqa "${sets[@]}" "${six[@]}" --out vqa.jsonl
[ -d fusion ] || ophglm train-fusion finer vqa.jsonl --out fusion \
    --head-epochs 3 --epochs 3 --samples 6000 --learning-rate 1e-3

[ -d texts ] || ophglm build-instructions --questions "$data"/medquad_eye/*.jsonl --out texts
[ -d adapter ] || ophglm sft fusion texts --out adapter \
    --photographs "$data/odir5k" --photographs "$data/eye4" --epochs 2 --samples 400 \
    --batch-size 8 --gradient-accumulation-steps 2
ophglm evaluate --vqa adapter vqa.jsonl --part test --limit 40 --keep
ophglm evaluate --texts adapter texts --limit 40 --keep

# Beside it one that has learned from all patients; thresholds and figures stay those of `finer`. The
# fusion module goes on reading the first.
[ -d finer-all ] || ophglm train-encoder "${sets[@]}" --out finer-all --from finer --freeze 3 \
    --size 320 --views 1 --epochs 1 --learning-rate 2e-4 --measured finer
[ -d model ] || ophglm train-encoder "${sets[@]}" --out model --from adapter --beside finer-all \
    --heads-only --epochs 0 --views 1 --measured finer

# IDRiD as another hospital's photographs: the same network without having seen anything of it.
seen=("${photographs[@]}" "$data/aptos2019")
[ -d outside ] || ophglm train-encoder "${seen[@]}" --out outside --from encoder "${part[@]}" \
    --first-size 256 --epochs 4 --learning-rate 3e-4
ophglm evaluate outside "$data/idrid"
