// Launching on the caller's device and stream.
#pragma once

#include <cstdint>
#include <limits>

#include "device.h"
#include "launchers.h"
#include "queue.h"
#include "stepscore/check.h"

namespace stepscore::cuda {

inline void raise_failure(const char* op, Status status) {
  if (status.error != nullptr) throw DeviceError(message(op, ": CUDA: ", status.error));
}

// Runs launch(stream, fault) with the queue's device current. Waits only for a checked queue, and
// then raises for the first item that the kernel refused.
template <class Launch>
void enqueue(const char* op, const char* item, const Queue& queue, Launch launch) {
  const Stream stream = reinterpret_cast<Stream>(queue.stream);
  const DeviceScope scope(queue.device);
  raise_failure(op, scope.status());
  if (!queue.checked) return raise_failure(op, launch(stream, nullptr));
  FaultCell cell;
  raise_failure(op, cell.open(stream));
  raise_failure(op, launch(stream, cell.get()));
  int64_t fault = 0;
  raise_failure(op, cell.read(stream, &fault));
  check(fault == std::numeric_limits<int64_t>::max(), op, kNoArgument, item, " ", fault,
        " is not valid; the same call on the CPU says why");
}

}  // namespace stepscore::cuda
