// The mapper that does nothing, for Millrace and for piscina.
export default (item) => item
