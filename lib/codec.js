// The codec: values to bytes and back, the same in parent and worker, in both directions.
export { Decoder } from './codec/decoder.js'
export { Encoder } from './codec/encoder.js'
