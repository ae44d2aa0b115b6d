// Writes what the app makes of a frame: as pixels.cc, for Kotlin.
package dev.kgrow.camera

import java.io.DataInputStream
import java.io.DataOutputStream

fun main(arguments: Array<String>) {
    val (frameHeight, frameWidth, height, width, channels) = arguments.take(5).map(String::toInt)
    val (lowest, highest) = arguments.drop(5).map(String::toFloat)
    val source = DataInputStream(System.`in`)
    val byte = source::readUnsignedByte
    val pixels = IntArray(frameHeight * frameWidth) { byte() shl 16 or (byte() shl 8) or byte() }
    val target = DataOutputStream(System.out)
    val preprocessor = Preprocessor(height, width, channels, lowest, highest)
    preprocessor.read(pixels, frameWidth, frameHeight).forEach(target::writeFloat)
    target.flush()
}
