"""How the file of a search is used: in Python, on Android and on a microcontroller."""

from __future__ import annotations

import html
import shlex
from pathlib import Path

from kgrow.reporting.next_steps import shortest
from kgrow.reporting.wording import one_line

# RUN is the command line's word for the run directory. The names of the C source begin with that of the folder.
SNIPPETS = {
    "Python": """# kgrow export RUN --out bundle
from run import Classifier  # bundle/run.py

classifier = Classifier("bundle")
answer = classifier(image)  # an array (height, width, channels)
print(answer.label, answer.probability)""",
    "Android": """// kgrow export RUN --single-output --out classifier.tflite; its labels are in it
// build.gradle: implementation("com.google.mediapipe:tasks-vision:0.10.29")
val options = ImageClassifier.ImageClassifierOptions.builder()
    .setBaseOptions(BaseOptions.builder().setModelAssetPath("classifier.tflite").build())
    .build()
val result = ImageClassifier.createFromOptions(context, options).classify(BitmapImageBuilder(bitmap).build())""",
    "Microcontroller": """// kgrow export RUN --micro --out bundle has model_data.h and model_data.cc
#include "model_data.h"

alignas(16) uint8_t arena[bundle_arena_size];
tflite::MicroMutableOpResolver<bundle_num_operations> resolver;
bundle_add_operations(resolver);
tflite::MicroInterpreter interpreter(tflite::GetModel(bundle_model_data), resolver, arena, bundle_arena_size);
interpreter.AllocateTensors();""",
}


def use_of(directory: Path) -> str:
    """Returns the snippets as HTML, with the commands that make what they read.

    Args:
        directory: Run directory.
    """
    run = shlex.quote(one_line(shortest(str(directory))))
    return "".join(
        f"<details{' open' if index == 0 else ''}><summary>{name}</summary>"
        f"<pre>{html.escape(text.replace('RUN', run))}</pre></details>"
        for index, (name, text) in enumerate(SNIPPETS.items())
    )
