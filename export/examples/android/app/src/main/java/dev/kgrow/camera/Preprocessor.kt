package dev.kgrow.camera

import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor

/** How much each new pixel along one side takes of the old ones: bilinear, and antialiased where the image shrinks. */
class Triangles(private val old: Int, new: Int) {
    private val scale = old.toDouble() / new
    private val support = maxOf(1.0, scale)
    private val first = IntArray(new) { maxOf(0, floor(center(it) - support).toInt()) }
    private val weights = Array(new) { index ->
        val last = minOf(old, ceil(center(index) + support).toInt())
        val shares = DoubleArray(last - first[index]) { share(first[index] + it, index) }
        FloatArray(shares.size) { (shares[it] / shares.sum()).toFloat() }
    }

    /** The weighted sum of the old values for one new pixel. */
    inline fun sum(index: Int, value: (Int) -> Float): Float {
        var sum = 0f
        for (tap in 0 until taps(index)) sum += weight(index, tap) * value(start(index) + tap)
        return sum
    }

    fun taps(index: Int) = weights[index].size

    fun weight(index: Int, tap: Int) = weights[index][tap]

    fun start(index: Int) = first[index]

    private fun center(index: Int) = (index + 0.5) * scale

    private fun share(position: Int, index: Int) = maxOf(0.0, 1 - abs(position + 0.5 - center(index)) / support)
}

/**
 * Makes a model's input of a frame, as kgrow's run.py does it and as training did: the whole frame is squeezed into the
 * model's size, rounded after each side where pixels are bytes, then scaled to the range of the data.
 *
 * @param channels 1 for gray, 3 for RGB.
 * @param lowest what black is; 255 and 0 for most models.
 * @param highest what white is.
 */
class Preprocessor(
    private val height: Int,
    private val width: Int,
    private val channels: Int,
    private val lowest: Float,
    private val highest: Float,
) {
    private val isEightBits = lowest == 0f && highest == 255f
    private var size = 0 to 0
    private var columns = Triangles(1, 1)
    private var rows = Triangles(1, 1)

    /** Returns rows of pixels of channels, from a frame whose pixels are 0xAARRGGBB. */
    fun read(pixels: IntArray, frameWidth: Int, frameHeight: Int): FloatArray {
        if (size != frameWidth to frameHeight) {
            size = frameWidth to frameHeight
            columns = Triangles(frameWidth, width)
            rows = Triangles(frameHeight, height)
        }
        val narrow = FloatArray(frameHeight * width * 3)
        for (row in 0 until frameHeight) for (column in 0 until width) for (channel in 0 until 3) {
            val shift = 16 - 8 * channel
            val sum = columns.sum(column) { (pixels[row * frameWidth + it] shr shift and 255).toFloat() }
            narrow[(row * width + column) * 3 + channel] = rounded(sum)
        }
        val input = FloatArray(height * width * channels)
        val color = FloatArray(3)
        for (row in 0 until height) for (column in 0 until width) {
            for (channel in 0 until 3) {
                color[channel] = scaled(rounded(rows.sum(row) { narrow[(it * width + column) * 3 + channel] }))
            }
            val position = (row * width + column) * channels
            if (channels == 3) color.copyInto(input, position) else input[position] = gray(color)
        }
        return input
    }

    private fun rounded(value: Float) = if (isEightBits) floor(value + 0.5f) else value

    private fun scaled(value: Float) = if (isEightBits) value else lowest + (highest - lowest) / 255 * value

    /** As in ITU-R BT.601. */
    private fun gray(color: FloatArray) = 0.299f * color[0] + 0.587f * color[1] + 0.114f * color[2]
}
