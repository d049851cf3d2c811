#include "bindings.h"
#include "simd/level.h"
#include "stepscore/parallel.h"

PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
  using namespace stepscore;
  make_exceptions(module);
  translate_exceptions();
  bind_tensor_view(module);
  bind_queue(module);
  bind_aggregate(module);
  bind_answer_key(module);
  bind_frontier(module);
  bind_gated_activation(module);
  bind_group_advantage(module);
  bind_path_attention(module);
  bind_prefix_trie(module);
  bind_record_scan(module);
  bind_result_lines(module);
  bind_returns(module);
  bind_reward_shaping(module);
  bind_step_boundary(module);
  bind_token_logprob(module);
  bind_tree_search(module);
  bind_value_head(module);
  bind_vote(module);
  module.def("cpu_level", simd::level_name);
  module.def("set_cpu_level", simd::set_level, py::arg("name"));
  module.def("num_threads", num_threads);
  module.def("set_num_threads", set_num_threads, py::arg("threads"));
  module.def("set_least_work", set_least_work, py::arg("nanoseconds"));
}
