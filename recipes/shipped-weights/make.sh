#!/usr/bin/env bash
# Makes the weights in the package from nothing: draws the towns, trains in eleven stages, averages, fits the confidence.
#
#     recipes/shipped-weights/make.sh [FOLDER]        FOLDER: for data and trainings; build/weights if it is not given
#     DEVICE=cuda WORKERS=14 recipes/shipped-weights/make.sh
#
# About six hours on two cores for towns and stages 1 to 7, and three for stages 10 and 11, which draw towns of their own.
# Stages 8 and 9 took five minutes on a GPU; without one they take a day. A call that was interrupted continues where it
# stopped. docs/results/shipped-weights.md has the figures.
set -euo pipefail

out=${1:-build/weights}
device=${DEVICE:-cpu}
workers=${WORKERS:-1}
recipes=$(dirname "${BASH_SOURCE[0]}")
data=$out/data

synth() { cvlnet synth "$data/$1" --seed "$2" --preset "$3" "${@:4}"; }

for seed in 3000 4000 5000 6000; do synth "streets-$seed" "$seed" streets; done
for seed in 7000 8000; do synth "streets-$seed" "$seed" streets --config "$recipes/../varied.toml"; done
synth routes-9000 9000 routes --config "$recipes/../varied.toml"
synth validation 100000 streets --towns 1
synth validation-varied 101000 streets --towns 1 --config "$recipes/../varied.toml"

for seed in {102000..118000..2000}; do synth "calibration-$seed" "$seed" streets --towns 1; done
for seed in {103000..119000..2000}; do
    synth "calibration-$seed" "$seed" streets --towns 1 --config "$recipes/../varied.toml"
done

plain=("$data"/streets-{3000,4000,5000,6000})
varied=("$data"/streets-{7000,8000})
both=("$data"/validation "$data"/validation-varied)

# train STAGE RECIPE START DATA... [OPTION...]: without START from ImageNet
train() {
    local stage=$1 recipe=$2 start=$3
    shift 3
    local init=()
    if [ -n "$start" ]; then init=(--init "$start"); fi
    cvlnet train "$@" --config "$recipes/$recipe.toml" --out "$out/$stage" --cache "$out/cache" "${init[@]}" \
        --device "$device" --workers "$workers"
}
best() { echo "$out/$1/best.safetensors"; }

train 1 1-frames "" "${plain[@]}" --validation "$data/validation"
train 2 2-clips "$(best 1)" "${plain[@]}" --validation "$data/validation"
train 3 3-varied "$(best 2)" "${varied[@]}" --validation "${both[@]}"
train 4 4-clips "$(best 3)" "${varied[@]}" --validation "${both[@]}"
train 5 5-streets "$(best 4)" "${varied[@]}" --validation "${both[@]}"
train 6 6-places "$(best 5)" "${varied[@]}" --validation "${both[@]}"
train 7 7-clips "$(best 6)" "${varied[@]}" --validation "${both[@]}"
cvlnet average "$(best 2)" "$(best 4)" "$(best 6)" "$(best 7)" --out "$out/mean-of-four.safetensors"

train 8 8-routes "$out/mean-of-four.safetensors" "$data/routes-9000"
train 9 8-routes "$(best 8)" "$data/routes-9000" --seed 9 --steps 556
cvlnet average "$out/mean-of-four.safetensors" "$(best 9)" --out "$out/mean-9.safetensors"

train 10 10-stream "$out/mean-9.safetensors" --stream routes --first-seed 22000
cvlnet average "$out/mean-9.safetensors" "$(best 10)" --out "$out/mean-10.safetensors"
train 11 11-stream "$out/mean-10.safetensors" --stream routes --first-seed 23000
cvlnet average "$out/mean-10.safetensors" "$(best 11)" --out "$out/mean-11.safetensors"
cvlnet calibrate "${both[@]}" "$data"/calibration-* --most-queries 300 --weights "$out/mean-11.safetensors" \
    --out "$out/cvlnet-lite0.safetensors"
echo "$out/cvlnet-lite0.safetensors"
