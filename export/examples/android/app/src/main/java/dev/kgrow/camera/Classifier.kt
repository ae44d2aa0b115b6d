package dev.kgrow.camera

import android.content.Context
import android.graphics.Bitmap
import org.json.JSONObject
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Interpreter
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.round

private const val SIGNATURE = "serving_default"

/** What the model says of one frame; `exitIndex` is the head after which it stopped, null without early exits. */
data class Answer(val label: String, val probability: Float, val exitIndex: Int?)

/** A model of kgrow: `model.tflite`, `labels.txt` and `metadata.json` in the assets. */
class Classifier(context: Context) : AutoCloseable {
    private val labels = context.assets.open("labels.txt").bufferedReader().readLines()
    private val interpreter = Interpreter(direct(context.assets.open("model.tflite").readBytes()))
    private val isBytes = interpreter.getInputTensorFromSignature("image", SIGNATURE).dataType() == DataType.UINT8
    private val hasExits = "exit_index" in interpreter.getSignatureOutputs(SIGNATURE)
    private val preprocessor: Preprocessor

    init {
        val input = JSONObject(context.assets.open("metadata.json").bufferedReader().readText()).getJSONObject("input")
        val shape = input.getJSONArray("shape")
        val range = input.optJSONArray("range")
        preprocessor = Preprocessor(
            shape.getInt(0),
            shape.getInt(1),
            shape.getInt(2),
            range?.getDouble(0)?.toFloat() ?: 0f,
            range?.getDouble(1)?.toFloat() ?: 255f,
        )
        val probabilities = interpreter.getOutputTensorFromSignature("probabilities", SIGNATURE)
        require(probabilities.dataType() == DataType.FLOAT32) { "Export with `--output-dtype float32`." }
        require(probabilities.shape().last() == labels.size) { "Labels and model must be of one bundle." }
    }

    // --8<-- [start:classify]
    fun classify(frame: Bitmap): Answer {
        val pixels = IntArray(frame.width * frame.height)
        frame.getPixels(pixels, 0, frame.width, 0, 0, frame.width, frame.height)
        val input = encoded(preprocessor.read(pixels, frame.width, frame.height))
        val probabilities = Array(1) { FloatArray(labels.size) }
        val exit = IntArray(1)
        val outputs = mutableMapOf<String, Any>("probabilities" to probabilities)
        if (hasExits) outputs["exit_index"] = exit
        interpreter.runSignature(mapOf<String, Any>("image" to input), outputs, SIGNATURE)
        val best = probabilities[0].indices.maxByOrNull { probabilities[0][it] } ?: 0
        return Answer(labels[best], probabilities[0][best], exit[0].takeIf { hasExits })
    }
    // --8<-- [end:classify]

    override fun close() = interpreter.close()

    private fun encoded(values: FloatArray): ByteBuffer {
        val buffer = ByteBuffer.allocateDirect(values.size * if (isBytes) 1 else 4).order(ByteOrder.nativeOrder())
        for (value in values) {
            if (isBytes) buffer.put(round(value).toInt().coerceIn(0, 255).toByte()) else buffer.putFloat(value)
        }
        buffer.rewind()
        return buffer
    }

    private fun direct(bytes: ByteArray): ByteBuffer {
        val buffer = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder()).put(bytes)
        buffer.rewind()
        return buffer
    }
}
